// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding
internal import Synchronization

extension ServerSession {
    /// What is left of a request once it has been read.
    enum Step {
        case done
        /// To be submitted, which may call functions of the program.
        case submit(PendingCall, to: HostedValue)
        /// To be called: it calls functions of the program.
        case make(() -> Void)
    }

    /// Reads a request and carries it out as far as that calls no function.
    ///
    /// - Parameter error: Why the handles in it could not be received; nil if they were.
    /// - Throws: When it is none: then nothing more can be understood either.
    func readRequest(_ message: IncomingMessage, withoutHandles error: (any Error)?) throws -> Step {
        try message.withReader { reader, plain in
            let userInfo = manager.map { SessionPassage(self, $0).added(to: plain) } ?? plain
            guard let kind = ManagerRequest(rawValue: try reader.read()) else {
                throw WireCodingError(.invalidValue, "unknown kind of request", at: 0)
            }
            if let error, try fail(kind, &reader, error) { return .done }
            switch kind {
            case .call: return try call(&reader, userInfo)
            case .host: return try host(&reader, userInfo, isRemade: false)
            case .remake: return try host(&reader, userInfo, isRemade: true)
            case .open: try server.open(key: try reader.read())
            case .adopt: try adopt(&reader)
            case .retain: _ = retain(try reader.read())
            case .release: return try release(&reader)
            case .share: try share(&reader, userInfo)
            case .shutDown: server.shutDown(key: try reader.read())
            case .withdraw: return try withdraw(&reader)
            }
            return .done
        }
    }

    /// Refuses a request whose handles were lost. Returns false for one that can do without them.
    private func fail(_ kind: ManagerRequest, _ reader: inout WireReader, _ error: any Error) throws -> Bool {
        switch kind {
        case .call, .host, .remake:
            refuse(
                try reader.read(),
                ManagerError(.shortage, "the call was not made, because its handles could not be received: \(error)")
            )
            return true
        case .share:
            Log.write(.error, "a manager cannot keep the value of a handle under way: \(error)")
            return true
        // What stood for the handle has only to be closed, and is.
        case .retain: return false
        case .release, .open, .adopt, .shutDown, .withdraw: return false
        }
    }

    private func call(_ reader: inout WireReader, _ userInfo: [CodingUserInfoKey: Any]) throws -> Step {
        let number: UInt64 = try reader.read()
        let valueNumber: UInt64 = try reader.read()
        guard let value = references.withLock({ $0[valueNumber] }) else {
            refuse(number, ManagerError(.valueGone, "the value does not exist any more"))
            return .done
        }
        do {
            let function = try readFunction(of: value, &reader, userInfo)
            let call = try function.bind(to: value, &reader, userInfo)
            guard reader.isAtEnd else { throw FunctionNotPortable.corrupt("bytes are left over") }
            return .submit(PendingCall(call, number: number, session: self), to: value)
        } catch {
            refuse(number, Self.refusal(error))
            return .done
        }
    }

    private static func refusal(_ error: any Error) -> ManagerError {
        if let error = error as? FunctionNotPortable, error.code == .otherBuild {
            return ManagerError(.otherBuild, "\(error)")
        }
        return ManagerError(
            .notUnderstood,
            "the function or its argument could not be rebuilt in the manager: \(error)"
        )
    }

    /// Reads a function, and remembers it if that is asked for.
    private func readFunction(
        of value: HostedValue,
        _ reader: inout WireReader,
        _ userInfo: [CodingUserInfoKey: Any]
    ) throws -> any FunctionDefinition {
        guard let form = FunctionForm(rawValue: try reader.read()) else {
            throw FunctionNotPortable.corrupt("unknown form of function")
        }
        let number: UInt32? = form == .once ? nil : try reader.read()
        if form == .known {
            guard let number, let known = functions[number] else {
                throw FunctionNotPortable.corrupt("a function is not known")
            }
            return known
        }
        guard let kind = FunctionKind(rawValue: try reader.read()) else {
            throw FunctionNotPortable.corrupt("unknown kind of function")
        }
        let function: any FunctionDefinition =
            switch kind {
            case .closure: try value.readFunction(from: &reader, userInfo: userInfo)
            case .operation: try Self.readOperation(from: &reader)
            }
        if let number, functions.count < Self.maximumFunctions { functions[number] = function }
        return function
    }

    private static func readOperation(from reader: inout WireReader) throws -> any FunctionDefinition {
        let type = try PortableType.read(from: &reader)
        func openRoom<Room: WaitingRoom>(_: Room.Type) -> any FunctionDefinition { RoomDefinition<Room>() }
        if let room = type as? any WaitingRoom.Type { return openRoom(room) }
        guard let operation = type as? any ManagedOperation.Type else {
            throw FunctionNotPortable.corrupt("\(type) is no operation")
        }
        func open<Operation: ManagedOperation>(_: Operation.Type) -> any FunctionDefinition {
            OperationDefinition<Operation>()
        }
        return open(operation)
    }

    // MARK: - Values

    private func host(
        _ reader: inout WireReader,
        _ userInfo: [CodingUserInfoKey: Any],
        isRemade: Bool
    ) throws -> Step {
        let number: UInt64 = try reader.read()
        let valueNumber: UInt64? = isRemade ? try reader.read() : nil
        do {
            guard let form = FunctionForm(rawValue: try reader.read()), form == .once,
                let kind = FunctionKind(rawValue: try reader.read())
            else { throw FunctionNotPortable.corrupt("unknown form of function") }
            switch kind {
            case .closure:
                let maker = try ReceivedMaker(from: &reader, userInfo: userInfo)
                return try maker.visit(HostingVisitor(session: self, number: number, valueNumber: valueNumber))
            case .operation:
                return try readMaker(number, valueNumber, PortableType.read(from: &reader), &reader, userInfo)
            }
        } catch {
            refuse(number, Self.refusal(error))
            return .done
        }
    }

    private func readMaker(
        _ number: UInt64,
        _ valueNumber: UInt64?,
        _ type: Any.Type,
        _ reader: inout WireReader,
        _ userInfo: [CodingUserInfoKey: Any]
    ) throws -> Step {
        func openRoom<Room: WaitingRoom>(_: Room.Type) throws -> Step {
            let plan = try Nothing.decode(Room.Plan.self, from: &reader, userInfo: userInfo)
            return .make { [self] in
                take(number, valueNumber) { HostedRoom(Room(plan), threads: server.threads) }
            }
        }
        if let room = type as? any WaitingRoom.Type { return try openRoom(room) }
        guard let maker = type as? any ManagedMaker.Type else {
            throw FunctionNotPortable.corrupt("\(type) makes no value")
        }
        func open<Maker: ManagedMaker>(_: Maker.Type) throws -> Step {
            let argument = try Nothing.decode(Maker.Argument.self, from: &reader, userInfo: userInfo)
            return .make { [self] in host(number, valueNumber) { try Maker.make(argument) } }
        }
        return try open(maker)
    }

    /// Makes a value, takes it in, and answers its number.
    fileprivate func host<Value>(_ number: UInt64, _ earlierNumber: UInt64?, _ make: () throws -> Value) {
        take(number, earlierNumber) { Hosted(try make(), threads: server.threads) }
    }

    /// Takes in the value that `make` makes, and answers its number.
    private func take(_ number: UInt64, _ earlierNumber: UInt64?, _ make: () throws -> HostedValue) {
        do {
            let hosted = try make()
            let valueNumber = earlierNumber ?? server.add(hosted)
            if earlierNumber != nil { server.add(hosted, as: valueNumber) }
            let isWanted = references.withLock { $0.add(valueNumber, hosted) }
            if !isWanted { server.release(valueNumber, count: 1) }
            answer(number, .success { writer, _ in writer.write(valueNumber) })
        } catch {
            answer(number, .failure(error))
        }
    }

    /// Counts a handle that has arrived. What stood for it on its way is closed with the message, after this.
    ///
    /// - Returns: Whether the value exists; one that is gone all the same is told with the next call.
    func retain(_ valueNumber: UInt64) -> Bool {
        guard let value = server.retain(valueNumber) else { return false }
        let isWanted = references.withLock { $0.add(valueNumber, value) }
        if !isWanted { server.release(valueNumber, count: 1) }
        return true
    }

    /// Counts a handle that has arrived over another connection, and says so.
    private func adopt(_ reader: inout WireReader) throws {
        let number: UInt64 = try reader.read()
        if retain(try reader.read()) {
            answer(number, .success(nil))
        } else {
            refuse(number, ManagerError(.valueGone, "the value does not exist any more"))
        }
    }

    /// Ends the wait of a call, which is answered then if it was not before.
    private func withdraw(_ reader: inout WireReader) throws -> Step {
        let (number, valueNumber): (UInt64, UInt64) = (try reader.read(), try reader.read())
        guard let value = references.withLock({ $0[valueNumber] }),
            let call = value.withdrawal(of: number, by: self)
        else { return .done }
        return .submit(call, to: value)
    }

    private func release(_ reader: inout WireReader) throws -> Step {
        let valueNumber: UInt64 = try reader.read()
        guard references.withLock({ $0.remove(valueNumber) }),
            let last = server.takeLast(valueNumber, count: 1)
        else { return .done }
        // Its `deinit` is the program's, and may take long.
        let box = LastReference(last)
        return .make { box.drop() }
    }

    private func share(_ reader: inout WireReader, _ userInfo: [CodingUserInfoKey: Any]) throws {
        let valueNumber: UInt64 = try reader.read()
        let carried = userInfo[CarriedDescriptors.userInfoKey] as? CarriedDescriptors
        guard let token = carried?.take(0) else { throw WireCodingError(.invalidValue, "no descriptor came", at: 9) }
        let socket = OwnedDescriptor(owning: token)
        guard references.withLock({ $0[valueNumber] }) != nil else { return }
        server.keep(valueNumber, as: socket)
    }
}

/// The last reference to a value.
private final class LastReference {
    private var value: HostedValue?

    init(_ value: HostedValue) {
        self.value = value
    }

    /// Lets go of it.
    func drop() {
        value = nil
    }
}

/// Makes a value where its type is known.
private struct HostingVisitor: ReceivedMaker.Visitor {
    let session: ServerSession
    let number: UInt64
    let valueNumber: UInt64?

    func visit<Value>(_ make: @escaping @Sendable () throws -> Value) -> ServerSession.Step {
        .make { session.host(number, valueNumber, make) }
    }
}
