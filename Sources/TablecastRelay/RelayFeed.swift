import Broadcast
import ChangeCapture
import LiveQueries
import Logging
import Synchronization
import Tablecast
import TablecastClient
import WireProtocol

/// Publishes what the source sends to the relay's clients. Thread-safe; the source's messages come from one task.
final class RelayFeed: Sendable {
    struct Status: Sendable {
        var database = ""
        /// The relays between the source and the clients, this one included.
        var relays: [String] = []
        var isConnected = false
        /// The source of the current or the last connection.
        var source: TablecastClient?
        /// To the source, while there is a connection.
        fileprivate var requests: RequestQueue?
        fileprivate var checks = SourceChecks()
        /// Why no transactions come.
        var goneBecause: String?
        var hasCaughtUp = false
        fileprivate var whenCaughtUp: (@Sendable () -> Void)?
    }

    let rowFilters: RowFilters
    let httpRequests = HTTPRequests()
    private let server: WebSocketServer
    private let logger: Logger
    private let state = Mutex(Status())
    /// The history that is being received after a restart that lost transactions.
    private let restart = Mutex<Restart?>(nil)

    fileprivate struct Restart: Sendable {
        let base: Position
        let isAnnounced: Bool
        var publications: [any Publication] = []
        var byteCount = 0
        var earlierEpochs: [String: UInt64] = [:]
    }

    init(server: WebSocketServer, limits: LiveLimits, logger: Logger) {
        self.server = server
        self.logger = logger
        rowFilters = RowFilters(limits: limits)
    }

    var status: Status { state.withLock { $0 } }

    /// Calls `body` once, as soon as everything that the source had committed was published.
    func whenCaughtUp(_ body: @escaping @Sendable () -> Void) {
        let isNow = state.withLock { state in
            if !state.hasCaughtUp { state.whenCaughtUp = body }
            return state.hasCaughtUp
        }
        if isNow { body() }
    }

    /// Calls `body` once, when everything that the source knows now has been received.
    ///
    /// - Throws: `RATE_LIMITED` when too many callers wait.
    func whenSourceIsKnown(_ body: @escaping @Sendable () -> Void) throws(ProtocolError) {
        let isAccepted = state.withLock { state in state.perform(state.checks.add(body)) }
        guard isAccepted else {
            throw ProtocolError(.rateLimited, "too many requests wait for the source of this relay; try again later")
        }
    }

    /// The source, for requests with the rights of this identity, and its share of the limits.
    func source(for identity: Identity, share: String?) throws(ProtocolError) -> TablecastClient {
        let status = status
        guard !status.isConnected || status.source != nil else {
            throw ProtocolError(
                .forbidden,
                "this relay receives from a stream, and has no server for requests: its operator can name one"
            )
        }
        guard status.isConnected, var source = status.source else {
            throw ProtocolError(
                .databaseGone,
                "this relay is not connected to its source, the server of \(status.database); try again later"
            )
        }
        let value = try ForwardedIdentity.value(of: identity, share: share)
        source.headers.append((name: ForwardedIdentity.header, value: value))
        return source
    }
}

extension RelayFeed: SourceReceiver {
    package var hasCaughtUp: Bool { state.withLock { $0.hasCaughtUp } }

    package func connected(to source: TablecastClient?, _ requests: RequestQueue) {
        state.withLock { state in
            state.source = source
            state.requests = requests
        }
    }

    package func perform(_ action: SourceSession.Action, database: String?) -> Bool {
        if let database { state.withLock { $0.database = database } }
        switch action {
        case .begin(let position):
            server.hub.reset(to: position)
        case .rename(let epoch, let earlier):
            rename(to: epoch, earlier)
        case .restart(let position, let isAnnounced):
            endRestart()
            restart.withLock { $0 = Restart(base: position, isAnnounced: isAnnounced) }
        case .gap(let position, let isAnnounced):
            endRestart()
            miss(before: position, isAnnounced: isAnnounced) { server.hub.reset(to: position) }
        case .publish(let transaction):
            return publish(transaction)
        case .state(let state):
            return received(state)
        case .notify(let type, let data):
            note(type, data)
            notify(type, data)
        case .path(let relays):
            received(path: relays)
        case .presence(let report):
            server.receivedPresence(report)
        case .checked(let id):
            checked(id)
        case .caughtUp:
            caughtUp()
        case .send, .stop:
            break
        }
        return true
    }

    private func rename(to epoch: String, _ earlier: [String: UInt64]?) {
        endRestart()
        if epoch != server.hub.position.epoch {
            logger.notice("the source was restarted, and its epoch goes on", metadata: ["epoch": "\(epoch)"])
        }
        server.hub.rename(to: epoch, earlier: earlier)
        sendToRelays(
            RelayFormat.renamed,
            [
                "position": .string(server.hub.position.description),
                "earlierEpochs": .object(server.hub.earlierEpochs.mapValues { .integer(Int64(clamping: $0)) }),
            ]
        )
    }

    private func checked(_ id: String) {
        let ended = state.withLock { state in
            let (ended, next) = state.checks.answered(id)
            _ = state.perform(next)
            return ended
        }
        for caller in ended { caller() }
    }

    private func publish(_ source: SourceTransaction) -> Bool {
        let start = ContinuousClock.now
        let transaction: TransactionMessages
        do throws(RelayCoding.Malformed) {
            transaction = try RelayCoding.decode(
                source.bytes,
                at: source.position,
                timestamp: source.timestamp,
                rowFilters: rowFilters
            )
        } catch {
            logger.error("a transaction of the source cannot be read", metadata: ["position": "\(source.position)"])
            return false
        }
        rowFilters.note(transaction.changes)
        publish(transaction)
        server.metrics.published(
            byService: transaction.changes.origin == .service,
            rowChanges: transaction.changes.rowCount,
            in: ContinuousClock.now - start
        )
        return true
    }

    private func publish(_ publication: any Publication) {
        let isKept = restart.withLock { restart in
            guard restart != nil else { return false }
            restart?.append(publication, maxBytes: server.configuration.limits.hub.history.maxBytes)
            return true
        }
        if !isKept { server.hub.publish(publication) }
    }

    /// The clients begin again behind the received history.
    private func endRestart() {
        let ended = restart.withLock { restart in
            defer { restart = nil }
            return restart
        }
        guard let ended else { return }
        let head = ended.publications.last?.position ?? ended.base
        miss(before: head, isAnnounced: ended.isAnnounced) {
            server.hub.restore(
                RestoredHistory(
                    head: head,
                    publications: ended.publications,
                    earlierEpochs: ended.earlierEpochs,
                    time: UnixTime.milliseconds
                )
            )
        }
    }

    private func received(_ payload: RelayStatePayload) -> Bool {
        do throws(RelayCoding.Malformed) {
            rowFilters.replaceTables(try RelayCoding.decodeTables(payload.tables))
        } catch {
            logger.error("the tables of the source cannot be read")
            return false
        }
        let isRestarting = restart.withLock { restart in
            restart?.earlierEpochs = payload.earlierEpochs
            return restart != nil
        }
        if !isRestarting { server.hub.rename(to: server.hub.position.epoch, earlier: payload.earlierEpochs) }
        if payload.exchangesPresence, let requests = state.withLock({ $0.requests }) {
            server.openPresenceExchange { report in
                // A connection that takes no requests ends, and the next one begins with all users.
                if !requests.append(ClientMessage(.custom(RelayFormat.presence, report.json))) { requests.finish() }
            }
        }
        if let reason = payload.goneBecause {
            state.withLock { $0.goneBecause = reason }
            notify("database:gone", ["message": .string(reason)])
        }
        return true
    }

    /// Transactions before the position are missing; `begin` begins again behind them.
    private func miss(before position: Position, isAnnounced: Bool, _ begin: () -> Void) {
        let before = server.hub.position
        logger.warning(
            "transactions of the source are missing: the clients begin again",
            metadata: ["after": "\(before)", "at": "\(position)"]
        )
        server.metrics.relayMissedTransactions()
        begin()
        guard !isAnnounced else { return }
        server.metrics.epochBegan(reason: EpochReason.Code.stateLost.rawValue)
        notify(
            "database:epoch",
            [
                "reason": .string(EpochReason.Code.stateLost.rawValue),
                "message": .string("this relay did not receive all transactions between \(before) and \(position)"),
            ]
        )
    }

    private func note(_ type: MessageType, _ data: JSONValue) {
        switch type.rawValue {
        case "database:gone":
            var reason = "the source has no database"
            if case .object(let fields) = data, case .string(let text)? = fields["message"] { reason = text }
            state.withLock { $0.goneBecause = reason }
        case "database:back": state.withLock { $0.goneBecause = nil }
        default: break
        }
    }

    private func received(path relays: [String]) {
        let isNew = state.withLock { state in
            defer { state.relays = relays }
            return state.relays != relays
        }
        guard isNew else { return }
        sendToRelays(RelayFormat.path, ["relays": .array(relays.map { .string($0) })])
    }

    private func sendToRelays(_ type: MessageType, _ data: JSONValue) {
        let header = EnvelopeHeader(type, channel: .notifications)
        server.hub.send(EncodedMessage(header, ServerPayload.custom(type, data)), to: .relays)
    }

    private func caughtUp() {
        endRestart()
        let (isBack, body) = state.withLock { state in
            defer {
                state.isConnected = true
                state.hasCaughtUp = true
                state.whenCaughtUp = nil
            }
            let isBack = state.hasCaughtUp && !state.isConnected
            if isBack { state.goneBecause = nil }
            _ = state.perform(state.checks.connected())
            return (isBack, state.whenCaughtUp)
        }
        server.metrics.relayConnected()
        logger.log(
            level: isBack ? .notice : .info,
            "receiving from the source",
            metadata: ["position": "\(server.hub.position)"]
        )
        if isBack { notify("database:back", ["message": "the connection to the source is open again"]) }
        body?()
    }

    package func disconnected(_ error: RelayError) -> Bool {
        // The next connection continues after what this one has received.
        endRestart()
        let reason = "the connection to the source was lost; changes continue when it is open again"
        let wasConnected = state.withLock { state in
            defer { state.isConnected = false }
            state.requests = nil
            state.checks.disconnected()
            if state.isConnected { state.goneBecause = reason }
            return state.isConnected
        }
        // The source can be silent: then their connections to it do not end.
        httpRequests.cancelAll()
        server.closePresenceExchange()
        guard wasConnected else { return false }
        logger.error("the connection to the source was lost", metadata: ["reason": "\(error)"])
        // Otherwise the source has reported it.
        if error != .sourceAway { notify("database:gone", ["message": .string(reason)]) }
        return true
    }

    private func notify(_ type: MessageType, _ data: JSONValue) {
        func message(_ data: JSONValue) -> EncodedMessage {
            EncodedMessage(EnvelopeHeader(type, channel: .notifications), ServerPayload.custom(type, data))
        }
        // The source's message can name any table.
        var hidden = data
        if case .object(var fields) = data {
            fields["message"] = "the details are hidden from a token with a list of tables"
            hidden = .object(fields)
        }
        let restricted = message(hidden)
        server.hub.send(message(data), to: .notifications) { _ in restricted }
    }

    private func notify(_ type: String, _ data: JSONValue) { notify(MessageType(type), data) }
}

extension RelayFeed.Restart {
    fileprivate mutating func append(_ publication: any Publication, maxBytes: Int) {
        publications.append(publication)
        byteCount += publication.byteCount
        guard byteCount > 2 * maxBytes else { return }
        // The history in memory keeps no more.
        while byteCount > maxBytes, publications.count > 1 { byteCount -= publications.removeFirst().byteCount }
    }
}

extension RelayFeed.Status {
    /// False when the caller is refused.
    fileprivate func perform(_ step: SourceChecks.Step) -> Bool {
        switch step {
        case .refuse: return false
        case .wait: return true
        case .ask(let id):
            let request = ClientMessage(id: id, .custom(RelayFormat.check, [:]))
            // A connection that takes no requests ends, and the next one asks again.
            if requests?.append(request) == false { requests?.finish() }
            return true
        }
    }
}
