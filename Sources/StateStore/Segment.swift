import CZlib

/// A record of the state.
package struct StateRecord: Sendable, Hashable {
    /// What a record says. Numbers are part of the file format.
    package enum Kind: UInt8, Sendable, Hashable {
        /// The epoch, and the state of the database after ``StateRecord/sequence``. The first record of each segment.
        case epoch = 1
        /// A published transaction.
        case transaction = 2
        /// The state of the database after a commit without a position: the last transaction is still ``StateRecord/sequence``.
        case mark = 3
        /// The database file itself has the state after ``StateRecord/sequence``.
        case seal = 4
    }

    package var kind: Kind
    /// The last transaction that was published when the record was written, or the one that it contains.
    package var sequence: UInt64
    /// Unix milliseconds.
    package var timestamp: Int64
    package var payload: ArraySlice<UInt8>

    package init(_ kind: Kind, sequence: UInt64, timestamp: Int64, payload: ArraySlice<UInt8>) {
        self.kind = kind
        self.sequence = sequence
        self.timestamp = timestamp
        self.payload = payload
    }
}

/// The format of a segment, a file with consecutive records: a header of 32 bytes, then each record with a header of 32 bytes.
///
/// All integers are little-endian; checksums are CRC-32 as in zlib.
///
/// | offset | bytes | in the header of a segment |
/// | --- | --- | --- |
/// | 0 | 8 | `TABLECST` |
/// | 8 | 4 | the version of the format, 1 |
/// | 12 | 4 | the checksum of bytes 0 to 12 and 16 to 32 |
/// | 16 | 8 | the number of the segment |
/// | 24 | 8 | when it was created, in Unix milliseconds |
///
/// | offset | bytes | in the header of a record |
/// | --- | --- | --- |
/// | 0 | 4 | the length of the payload |
/// | 4 | 4 | the checksum of bytes 8 to 32 and of the payload |
/// | 8 | 8 | the sequence |
/// | 16 | 8 | the time, in Unix milliseconds |
/// | 24 | 1 | the kind |
/// | 25 | 7 | the number of the segment, which makes records of another file invalid |
enum SegmentFormat {
    static let version: UInt32 = 1
    static let headerByteCount = 32
    static let recordHeaderByteCount = 32
    private static let magic = Array("TABLECST".utf8)
    /// A larger length is not believed.
    static let maxPayloadBytes = 64 << 20

    struct Header: Equatable {
        var version: UInt32
        var number: UInt64
        var created: Int64
    }

    static func encode(_ header: Header) -> [UInt8] {
        var writer = ByteWriter()
        writer.append(encoded: magic)
        writer.append(header.version)
        writer.append(UInt32(0))
        writer.append(header.number)
        writer.append(header.created)
        writer.set(headerChecksum(writer.bytes), at: 12)
        return writer.bytes
    }

    /// Nil when the bytes do not begin with a valid header.
    static func header(_ bytes: [UInt8]) -> Header? {
        guard bytes.count >= headerByteCount, bytes.starts(with: magic) else { return nil }
        let head = Array(bytes[..<headerByteCount])
        guard load(head, at: 12, as: UInt32.self) == headerChecksum(head) else { return nil }
        return Header(
            version: load(head, at: 8, as: UInt32.self),
            number: load(head, at: 16, as: UInt64.self),
            created: load(head, at: 24, as: Int64.self)
        )
    }

    private static func headerChecksum(_ header: [UInt8]) -> UInt32 {
        header.withUnsafeBytes { bytes in
            checksum(UnsafeRawBufferPointer(rebasing: bytes[16..<32]), after: checksum(.init(rebasing: bytes[..<12])))
        }
    }

    /// Appends a record to `buffer`.
    static func append(_ record: StateRecord, of segment: UInt64, to buffer: inout ByteWriter) {
        appendHeader(of: record, of: segment, to: &buffer)
        record.payload.withUnsafeBufferPointer { buffer.append(unprefixed: UnsafeRawBufferPointer($0)) }
    }

    /// Appends a record without its payload, which follows.
    static func appendHeader(of record: StateRecord, of segment: UInt64, to buffer: inout ByteWriter) {
        let start = buffer.bytes.count
        buffer.append(UInt32(record.payload.count))
        buffer.append(UInt32(0))
        buffer.append(record.sequence)
        buffer.append(record.timestamp)
        buffer.append(UInt64(record.kind.rawValue) | segment << 8)
        let sum = buffer.bytes.withUnsafeBytes { checksum(.init(rebasing: $0[(start + 8)...])) }
        buffer.set(record.payload.withUnsafeBytes { checksum($0, after: sum) }, at: start + 4)
    }

    /// The record at `offset`, and where the next one begins; nil at the end, and where the bytes are not a valid record.
    static func record(_ bytes: [UInt8], at offset: Int, of segment: UInt64) -> (record: StateRecord, end: Int)? {
        guard offset + recordHeaderByteCount <= bytes.count else { return nil }
        let length = Int(load(bytes, at: offset, as: UInt32.self))
        let end = offset + recordHeaderByteCount + length
        guard length <= maxPayloadBytes, end <= bytes.count else { return nil }
        let sum = bytes.withUnsafeBytes { checksum(.init(rebasing: $0[(offset + 8)..<end])) }
        let tail = load(bytes, at: offset + 24, as: UInt64.self)
        guard sum == load(bytes, at: offset + 4, as: UInt32.self), tail >> 8 == segment & (1 << 56 - 1),
            let kind = StateRecord.Kind(rawValue: UInt8(truncatingIfNeeded: tail))
        else { return nil }
        let record = StateRecord(
            kind,
            sequence: load(bytes, at: offset + 8, as: UInt64.self),
            timestamp: load(bytes, at: offset + 16, as: Int64.self),
            payload: bytes[(offset + recordHeaderByteCount)..<end]
        )
        return (record, end)
    }

    private static func load<Value: FixedWidthInteger>(_ bytes: [UInt8], at offset: Int, as _: Value.Type) -> Value {
        bytes.withUnsafeBytes { Value(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Value.self)) }
    }

    /// Source: [zlib manual](https://zlib.net/manual.html#Checksum).
    private static func checksum(_ bytes: UnsafeRawBufferPointer, after previous: UInt32 = 0) -> UInt32 {
        guard let base = bytes.bindMemory(to: UInt8.self).baseAddress else { return previous }
        return UInt32(truncatingIfNeeded: crc32_z(UInt(previous), base, bytes.count))
    }
}

/// The valid records of a segment, in order.
struct SegmentContents {
    var header: SegmentFormat.Header
    var records: [StateRecord] = []
    /// Where the last valid record ends.
    var validByteCount: Int
    var byteCount: Int

    /// Bytes after the last valid record: a write that was cut off, or damage.
    var invalidByteCount: Int { byteCount - validByteCount }

    /// Nil when the header is invalid; no records when its version is not ``SegmentFormat/version``.
    init?(_ bytes: [UInt8]) {
        guard let header = SegmentFormat.header(bytes) else { return nil }
        self.header = header
        byteCount = bytes.count
        validByteCount = SegmentFormat.headerByteCount
        guard header.version == SegmentFormat.version else { return }
        while let (record, end) = SegmentFormat.record(bytes, at: validByteCount, of: header.number) {
            // The first record says what the others build on, and sequences never decrease.
            guard (records.last?.sequence ?? record.sequence) <= record.sequence,
                !records.isEmpty || record.kind == .epoch
            else { return }
            records.append(record)
            validByteCount = end
        }
    }
}
