// SPDX-License-Identifier: Apache-2.0
//
// Every public name of the package, unqualified, in a file that imports whatever else declares names like these. That it compiles is the test.

import Dispatch
import Foundation
import Glibc
import Multiprocessing
import Synchronization

/// Each type as an annotation, where an ambiguous name is an error (in an expression it need not be).
struct Names {
    var asyncResult: AsyncResult<Int>?
    var barrier: Barrier?
    var boundedSemaphore: BoundedSemaphore?
    var brokenBarrier: BrokenBarrier?
    var childProcess: ChildProcess?
    var condition: Condition?
    var connection: Connection?
    var connectionError: ConnectionError?
    var countingSemaphore: CountingSemaphore?
    var event: Event?
    static let exitStatus = ExitStatus.self
    var forkServer: ForkServer.Type?
    var functionNotPortable: FunctionNotPortable?
    var handleNotPortable: HandleNotPortable?
    var joinableQueue: JoinableQueue<Int>?
    var lock: Lock?
    var multiprocessing: Multiprocessing.Type?
    var ownerDied: OwnerDied?
    var pool: Pool?
    var poolError: PoolError?
    var poolStatistics: PoolStatistics?
    var processError: ProcessError?
    var processLost: ProcessLost?
    var queue: Queue<Int>?
    var queueError: QueueError?
    var recursiveLock: RecursiveLock?
    var remoteError: RemoteError?
    var semaphore: Semaphore?
    var qualifiedSemaphore: Multiprocessing.Semaphore?
    var shareableList: ShareableList?
    var sharedArray: SharedArray<Int>?
    var sharedAtomic: SharedAtomic<Int>?
    var sharedMemory: SharedMemory?
    var sharedStateError: SharedStateError?
    var sharedValue: SharedValue<Int>?
    var signal: Signal?
    var simpleQueue: SimpleQueue<Int>?
    var startMethod: StartMethod?
    var synchronizationError: SynchronizationError?
    var systemError: SystemError?
    var taskOptions: TaskOptions?
    var timeoutError: TimeoutError?
    var wireCodingError: WireCodingError?
    var workerLost: WorkerLost?
    var bitwiseCodable: (any BitwiseCodable)?
    /// Foundation's and Glibc's own.
    var process: Process?
    var conditionLock: NSConditionLock?
    var glibcSemaphore: Glibc.Semaphore?
    var mutex: Mutex<Int>.Type?
}
