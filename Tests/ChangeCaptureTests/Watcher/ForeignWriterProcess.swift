import Foundation

/// A `ForeignWriter` in its own process.
final class ForeignWriterProcess {
    /// Its output, its errors and its exit status.
    struct Outcome {
        var lines: [String]
        var complaints: [String]
        var status: Int32
    }

    private let process = Process()
    private let files: [URL]

    /// Output is written to files beside the database, so that no pipe can fill up.
    init(_ database: String, logsAt place: String? = nil, _ options: [String]) throws {
        let name = "\(place ?? database).\(UUID().uuidString)"
        files = ["out", "err"].map { URL(fileURLWithPath: "\(name).\($0)") }
        for file in files { _ = FileManager.default.createFile(atPath: file.path, contents: nil) }
        process.executableURL = Self.executable("ForeignWriter")
        process.arguments = [database] + options
        process.standardOutput = try FileHandle(forWritingTo: files[0])
        process.standardError = try FileHandle(forWritingTo: files[1])
        try process.run()
    }

    /// Its location in the build, next to the test bundle.
    static func executable(_ name: String) -> URL {
        let places = [
            Bundle.main.bundleURL, URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent(),
            URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent(),
        ]
        let files = places.map { $0.appendingPathComponent(name) }
        return files.first { FileManager.default.isExecutableFile(atPath: $0.path) } ?? files[0]
    }

    var processIdentifier: Int32 { process.processIdentifier }

    /// Waits for its end.
    func finish() throws -> Outcome {
        process.waitUntilExit()
        let texts = try files.map { String(decoding: try Data(contentsOf: $0), as: UTF8.self) }
        return Outcome(
            lines: texts[0].split(separator: "\n").map(String.init),
            complaints: texts[1].split(separator: "\n").map(String.init),
            status: process.terminationStatus
        )
    }
}
