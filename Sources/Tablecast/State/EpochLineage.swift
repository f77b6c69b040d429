import ChangeCapture
import SQLiteConnection
import StateStore
import WireProtocol

/// An epoch that goes on through restarts: its name, and for each start of the service an incarnation.
///
/// Positions contain both, `<name>-<incarnation>:<sequence>`: after a database and its state were restored from a backup,
/// sequences are used a second time, and a position from the first time must not be taken for one of the second.
struct EpochLineage: Hashable, Sendable {
    struct Incarnation: Hashable, Sendable {
        var name: String
        /// The last transaction before it.
        var base: UInt64
    }

    /// Older incarnations are forgotten: clients that resume from them begin again.
    static let maxIncarnations = 1_000

    private(set) var name: String
    /// In the order of their starts; never empty.
    private(set) var incarnations: [Incarnation]

    init() {
        name = Epoch.random(8)
        incarnations = [Incarnation(name: Epoch.random(6), base: 0)]
    }

    init?(name: String, incarnations: [Incarnation]) {
        guard Self.isName(name), !incarnations.isEmpty, incarnations.allSatisfy({ Self.isName($0.name) }) else {
            return nil
        }
        self.name = name
        self.incarnations = incarnations
    }

    private static func isName(_ text: String) -> Bool {
        (1...16).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 || UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0
            }
    }

    /// Begins an incarnation after the transaction with this sequence.
    mutating func begin(after base: UInt64) {
        incarnations.append(Incarnation(name: Epoch.random(6), base: base))
        incarnations.removeFirst(max(0, incarnations.count - Self.maxIncarnations))
    }

    /// The epoch of the positions of the newest incarnation.
    var epoch: String { epoch(of: incarnations[incarnations.count - 1]) }

    private func epoch(of incarnation: Incarnation) -> String { "\(name)-\(incarnation.name)" }

    /// For each earlier incarnation its epoch in positions, and its last sequence.
    var earlier: [String: UInt64] {
        var result: [String: UInt64] = [:]
        for (incarnation, next) in zip(incarnations, incarnations.dropFirst()) {
            result[epoch(of: incarnation)] = next.base
        }
        return result
    }

    /// The start of each incarnation.
    fileprivate var starts: [Position] { incarnations.map { Position(epoch: epoch(of: $0), sequence: $0.base) } }
}

/// The positions with which transactions were published: each in the newest incarnation that began before it.
struct PublishedPositions {
    private let starts: [Position]
    /// The incarnation of the transaction that was asked for last: consecutive ones mostly have the same.
    private var index = 0

    init(_ lineage: EpochLineage) { starts = lineage.starts }

    /// - Parameter sequence: not lower than in the call before.
    mutating func position(of sequence: UInt64) -> Position {
        while index + 1 < starts.count, starts[index + 1].sequence < sequence { index += 1 }
        return starts[index].at(sequence)
    }
}

/// What the state says besides the transactions.
struct KeptState: Sendable {
    var lineage: EpochLineage
    /// The last published transaction.
    var sequence: UInt64
    var captured: CapturedState
    /// The detail with which rows are captured.
    var level: CaptureLevel
}

// MARK: - The payloads of records

extension KeptState {
    /// The payload of a record of kind `epoch`.
    var payload: [UInt8] {
        var writer = ByteWriter()
        writer.append(lineage.name)
        writer.append(count: lineage.incarnations.count)
        for incarnation in lineage.incarnations {
            writer.append(incarnation.name)
            writer.append(incarnation.base)
        }
        writer.append(UInt8(level.rawValue))
        writer.append(captured.boot)
        writer.append(captured.file != nil)
        if let file = captured.file {
            writer.append(file.device)
            writer.append(file.inode)
        }
        writer.append(captured.log)
        writer.append(captured.seal != nil)
        if let seal = captured.seal { writer.append(seal) }
        return writer.bytes
    }

    init(_ record: StateRecord) throws(ByteReader.Malformed) {
        var reader = ByteReader(record.payload)
        let name = try reader.string()
        var incarnations: [EpochLineage.Incarnation] = []
        for _ in 0..<(try reader.count()) {
            incarnations.append(.init(name: try reader.string(), base: try reader.integer()))
        }
        guard let lineage = EpochLineage(name: name, incarnations: incarnations),
            let level = CaptureLevel(rawValue: Int(try reader.byte()))
        else { throw ByteReader.Malformed() }
        self.lineage = lineage
        self.level = level
        sequence = record.sequence
        let boot = try reader.optionalString()
        let file = try reader.bool() ? FileIdentity(device: try reader.integer(), inode: try reader.integer()) : nil
        captured = CapturedState(
            log: try reader.logMark(),
            seal: try reader.bool() ? try reader.fileSeal() : nil,
            boot: boot,
            file: file
        )
        guard reader.isAtEnd else { throw ByteReader.Malformed() }
    }

    /// Adds what a later record says.
    mutating func apply(_ record: StateRecord) throws(ByteReader.Malformed) {
        var reader = ByteReader(record.payload)
        switch record.kind {
        case .epoch: self = try KeptState(record)
        case .transaction, .mark: captured.reach(try reader.logMark())
        case .seal: captured.seal = try reader.fileSeal()
        }
        sequence = record.sequence
    }
}

extension ByteWriter {
    mutating func append(_ mark: LogMark?) {
        append(mark != nil)
        guard let mark else { return }
        append(mark.salt.first)
        append(mark.salt.second)
        append(mark.lastFrame)
        append(mark.checksum.first)
        append(mark.checksum.second)
        append(mark.pageCount)
    }

    mutating func append(_ seal: FileSeal) {
        append(seal.identity.device)
        append(seal.identity.inode)
        append(seal.byteCount)
        append(seal.seconds)
        append(seal.nanoseconds)
        append(seal.header.first)
        append(seal.header.second)
        append(seal.pageCount)
    }
}

extension ByteReader {
    mutating func logMark() throws(Malformed) -> LogMark? {
        guard try bool() else { return nil }
        return LogMark(
            salt: WALSalt(first: try integer(), second: try integer()),
            lastFrame: try integer(),
            checksum: WALChecksum(first: try integer(), second: try integer()),
            pageCount: try integer()
        )
    }

    mutating func fileSeal() throws(Malformed) -> FileSeal {
        FileSeal(
            identity: FileIdentity(device: try integer(), inode: try integer()),
            byteCount: try integer(),
            seconds: try integer(),
            nanoseconds: try integer(),
            header: WALChecksum(first: try integer(), second: try integer()),
            pageCount: try integer()
        )
    }
}
