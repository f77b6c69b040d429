import ArgumentParser
import UnixSignals
import WebSocketTransport

extension QueryCommand {
    /// Of one message to the server, and so of the SQL in it.
    static let maxSQLBytes = 1 << 20

    func run() async throws {
        try await reportingFailure {
            let sql = try sql()
            if live { return try await follow(sql) }
            let session = QuerySession(
                queryID: "cli-\(String(UInt64.random(in: .min ... .max), radix: 36))",
                sql: sql,
                data: try data(sql: sql),
                printer: ResultPrinter(format: format, palette: Terminal.output.palette),
                palette: Terminal.error.palette,
                errorWidth: Terminal.error.columnCount
            )
            switch try source {
            case .file(let path):
                try await finish(session, LocalConnection(path: path))
            case .server(let address):
                try await finish(session, ServerConnection(address: address, options: connection).open())
            }
        }
    }

    private func follow(_ sql: String) async throws {
        let session = LiveQuerySession(data: try data(sql: sql), format: format, palette: Terminal.output.palette)
        guard case .server(let address) = try source else {
            throw CommandFailure(.usage, "--live needs a server", advice: "Start one with: tablecast serve FILE")
        }
        let connection = try await ServerConnection(address: address, options: connection).open()
        let outcome = try await LiveQueryRun(connection: connection).run(session)
        await connection.close()
        try finish(outcome)
    }

    private func finish(_ session: QuerySession, _ connection: some QueryConnection) async throws {
        let outcome = try await outcome(of: QueryRun(session, connection))
        await connection.close()
        try finish(outcome)
    }

    private func sql() throws -> String {
        if let scriptFile { return try SQLInput.file(scriptFile, maxBytes: Self.maxSQLBytes) }
        let sql = arguments[arguments.count - 1]
        return sql == "-" ? try SQLInput.standardInput(maxBytes: Self.maxSQLBytes) : sql
    }

    private var format: ResultFormat {
        switch output {
        case .json: .json
        case .csv: .csv
        case .vertical: .vertical
        case nil: .table(lineWidth: Terminal.output.isInteractive ? Terminal.output.columnCount : .max)
        }
    }

    private func outcome(of run: QueryRun<some QueryConnection>) async throws -> QuerySession.Outcome {
        let interrupts = await UnixSignalsSequence(trapping: .sigint)
        return try await withThrowingTaskGroup(of: QuerySession.Outcome?.self) { group in
            group.addTask { try await run.converse() }
            group.addTask {
                for await _ in interrupts {
                    if let outcome = try await run.interrupt() { return outcome }
                }
                return nil
            }
            defer { group.cancelAll() }
            while let result = try await group.next() {
                if let result { return result }
            }
            return .cancelled(message: "interrupted")
        }
    }

    private func finish(_ outcome: QuerySession.Outcome) throws {
        let terminal = Terminal.error
        switch outcome {
        case .complete(let summary):
            if terminal.isInteractive, !summary.isEmpty { terminal.note(terminal.palette(.dim, summary)) }
        case .failed(let message, let status):
            terminal.note(terminal.palette(.boldRed, "error:") + " " + message)
            throw status.exitCode
        case .cancelled(let message):
            terminal.note(terminal.palette(.yellow, message))
            throw ExitReason.interrupted.exitCode
        }
    }
}
