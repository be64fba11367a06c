// SPDX-License-Identifier: Apache-2.0

import Multiprocessing

/// Puts messages, and notes which of them were put for sure.
func producer(_ stage: Stage, _ random: Seeded, _ number: Int) throws {
    var random = random
    while !stage.hasEnded {
        let next = stage.attempted[number]
        guard next < Stage.most else { return }
        stage.attempted[number] = next + 1
        let size =
            random.once(in: 200) ? Int.random(in: 0...300_000, using: &random) : Int.random(in: 0...200, using: &random)
        let message = Message(producer: number, number: next, payload: Message.payload(number, next, size: size))
        do {
            try stage.queue.put(message, timeout: .milliseconds(200))
        } catch is TimeoutError {
            continue
        }
        stage.returned[number * Stage.most + next] = 1
    }
}

/// Takes messages, and notes each.
func consumer(_ stage: Stage, _ random: Seeded) throws {
    var last = [Int](repeating: -1, count: Stage.producers)
    while !stage.hasEnded {
        let message: Message
        do {
            message = try stage.queue.get(timeout: .milliseconds(100))
        } catch is TimeoutError {
            continue
        }
        try take(message, stage)
        try check(message.number > last[message.producer], "\(message.producer) overtakes itself")
        last[message.producer] = message.number
    }
}

/// Notes that a message was taken, and looks whether it is whole.
func take(_ message: Message, _ stage: Stage) throws {
    let expected = Message.payload(message.producer, message.number, size: message.payload.count)
    try check(message.payload == expected, "message \(message.number) of \(message.producer) is torn")
    let index = message.producer * Stage.most + message.number
    try check(stage.taken[index] == 0, "message \(message.number) of \(message.producer) was taken twice")
    stage.taken[index] = 1
}
