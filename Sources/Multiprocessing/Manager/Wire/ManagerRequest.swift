// SPDX-License-Identifier: Apache-2.0
//
// What a client says to a manager's server, one message each:
//
//   1 byte    kind
//   call      8 bytes: number of the call;   8 bytes: value;   the function;   its argument
//   host      8 bytes: number of the call;   the function that makes the value
//   retain    8 bytes: value;   beside it the end of a socket that stood for the handle under way, if it was
//   release   8 bytes: value
//   share     8 bytes: value;   beside it a socket: the handle under way holds its other end
//   remake    8 bytes: number of the call;   8 bytes: value;   the function that makes it: takes it in under that number
//   open      8 bytes: a number that only the process knows that made the manager: lets clients in
//   adopt     8 bytes: number of the call;   8 bytes: value: as retain, and answered
//   shutDown  8 bytes: a number that only the process knows that made the manager
//   withdraw  8 bytes: number of an earlier call that may still wait (WaitingRoom.swift);   8 bytes: the value it is of
//
// A function:
//
//   1 byte    0: known;   1: to be remembered;   2: for once
//   4 bytes   its number, unless for once
//   1 byte    unless known: 0: an operation, whose type follows (PortableType);   1: a function (PortableMutation)
//
// What the server answers:
//
//   8 bytes   number of the call
//   1 byte    0: done;   1: it threw;   2: refused;   and with 0 for the number, unasked: 3: the manager shuts down (to clients over TCP);   4: which of the manager's processes this is (to clients over rings), first of all
//   …         the result, if there is one; the error (Outcome); the code and the sentence; the pid; how many of the manager's processes had ended before it
//
// The result of `host` is the value's number. Answers to clients over TCP end with the handles in them (HandlePassage.swift).

internal import MultiprocessingWireCoding

/// The kinds of requests.
enum ManagerRequest: UInt8 {
    case call = 1
    case host
    case retain
    case release
    case share
    case remake
    case open
    case adopt
    case shutDown
    case withdraw
}

/// How a function is told in a request.
enum FunctionForm: UInt8 {
    case known
    case remembered
    case once
}

/// What a function in a request is.
enum FunctionKind: UInt8 {
    case operation
    case closure
}

/// The kinds of answers.
enum ManagerAnswer: UInt8 {
    case done
    case threw
    case refused
    case farewell
    case greeting
}

/// Tells one manager from all others, of all programs and times.
struct ManagerIdentity: Hashable, Sendable, Codable {
    private let high: UInt64
    private let low: UInt64

    /// Creates the identity of a new manager.
    init() {
        var generator = SystemRandomNumberGenerator()
        high = generator.next()
        low = generator.next()
    }
}
