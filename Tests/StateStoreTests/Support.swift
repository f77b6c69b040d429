import Foundation
import StateStore

/// A new directory, removed with its last reference.
final class ScratchDirectory: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "tablecast-state-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        do { try FileManager.default.removeItem(atPath: path) } catch { print(error) }
    }

    var state: String { path + "/state" }

    /// The paths of the segments, the oldest first.
    func segments() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: state).filter { $0.hasSuffix(".segment") }.sorted()
            .map { "\(state)/\($0)" }
    }
}

extension RecordLog {
    static func open(
        _ scratch: ScratchDirectory,
        _ limits: RecordLogLimits = RecordLogLimits()
    ) throws -> (log: RecordLog, recovered: Recovered) {
        try open(StateDirectory(path: scratch.state, followsLink: false), limits: limits)
    }
}

func record(_ kind: StateRecord.Kind, _ sequence: UInt64, _ payload: [UInt8] = [], at time: Int64 = 0) -> StateRecord {
    StateRecord(kind, sequence: sequence, timestamp: time, payload: payload[...])
}

extension RecordLogLimits {
    static func small(maxBytes: Int) -> RecordLogLimits {
        var limits = RecordLogLimits()
        limits.maxBytes = maxBytes
        return limits
    }
}
