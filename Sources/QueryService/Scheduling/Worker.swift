import SQLiteConnection
import Synchronization

/// The mailbox of a thread that runs queries. The scheduler gives it one query or rollback at a time.
final class Worker: Sendable {
    enum Work {
        /// With the generation that the connection must have.
        case run(QueryControl, generation: Int)
        case rollBack(ClientKey)
        /// Close the connection; the next query opens it anew.
        case close
        case stop
    }

    private let mailbox = Mutex<[Work]>([])
    private let parker = Parker()

    func give(_ work: Work) {
        mailbox.withLock { $0.append(work) }
        parker.wake()
    }

    /// Sleeps until there is work.
    func take() -> Work {
        while true {
            if let work = mailbox.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) { return work }
            parker.sleep()
        }
    }
}
