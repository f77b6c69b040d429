import Broadcast
import QueryEngine
import WireProtocol

/// The events of one query: messages for the subscribers of `queries`, and the same ones as replies for its requester.
struct QueryEvents: Sendable {
    let queryID: String
    let sql: String
    let userID: String
    let username: String?
    let database: String?
    /// The `id` of the request, which only its sender knows.
    let requestID: String?
    /// Nil for a query without a service.
    var observation: QueryObservation?
    /// Sends a message to all other subscribers of `queries`; creates it only if there is one.
    let publish: @Sendable (_ message: () -> EncodedMessage) -> Void

    func started(readOnly: Bool) -> [UInt8] {
        observation?.started(readOnly: readOnly)
        return send(
            .queryStarted,
            QueryStartedPayload(
                queryID: queryID,
                sql: sql,
                userID: userID,
                username: username,
                database: database,
                isReadOnly: readOnly
            )
        )
    }

    func progress(_ progress: QueryProgress) -> [UInt8] {
        send(
            .queryProgress,
            QueryProgressPayload(
                queryID: queryID,
                // An estimate is not more precise than a tenth of a percent.
                progress: progress.fraction.map { ($0 * 1_000).rounded(.down) / 10 },
                message: progress.message,
                rowCount: progress.rowCount,
                elapsed: progress.elapsed.milliseconds,
                estimatedTotal: progress.estimatedTotal
            )
        )
    }

    func completed(_ outcome: QueryOutcome) -> [UInt8] {
        observation?.completed(outcome)
        return send(.queryComplete, QueryCompletePayload(queryID: queryID, outcome))
    }

    func failed(_ failure: QueryFailure) -> [UInt8] {
        observation?.failed(failure)
        return send(.queryError, QueryErrorPayload(queryID: queryID, failure))
    }

    func cancelled(_ cancellation: QueryCancellation) -> [UInt8] {
        observation?.cancelled(cancellation)
        return send(
            .queryCancelled,
            QueryCancelledPayload(
                queryID: queryID,
                reason: .init(cancellation.reason),
                rowCount: cancellation.rowCount,
                duration: cancellation.duration.milliseconds,
                position: Position(receipt: cancellation.receipt),
                isInTransaction: cancellation.inTransaction
            )
        )
    }

    /// Publishes the message and returns the requester's copy.
    private func send(_ type: MessageType, _ data: some JSONWritable) -> [UInt8] {
        var header = EnvelopeHeader(type, channel: .queries)
        publish { [header] in EncodedMessage(header, data) }
        header.replyTo = requestID
        var reply = JSONWriter()
        reply.envelope(header, data)
        return reply.bytes
    }
}

/// Notifies a WebSocket client that its transaction was rolled back without its request. Thread-safe.
struct TransactionNotices: QueryServiceEvents {
    let server: WebSocketServer

    func transactionRolledBack(_ client: ClientKey, _ failure: QueryFailure) {
        guard let client = server.clients[client.rawValue] else { return }
        let payload = ErrorPayload(message: failure.message, code: ErrorCode(rawValue: failure.code.rawValue))
        server.hub.send(EncodedMessage(EnvelopeHeader(.error, channel: .notifications), payload), to: client.id)
    }
}
