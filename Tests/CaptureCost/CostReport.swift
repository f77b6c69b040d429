import ChangeCapture
import OracleSupport
import SQLiteConnection

/// Measures every workload bare and at each level, in turns, and keeps the best time of each.
struct CostReport {
    let rows: Int
    let rounds: Int
    /// The one workload to measure; nil for all.
    let only: Int?

    func run() throws {
        print("\(rows) rows, best of \(rounds); SQLite \(Library.version)")
        for (number, workload) in Workload.allCases.enumerated() where only ?? number == number {
            var best: [CaptureLevel?: Duration] = [:]
            for _ in 0..<rounds {
                for level in [nil] + CaptureLevel.allCases.map(Optional.some) {
                    let time = try workload.measure(rows: rows, level: level)
                    best[level] = min(best[level] ?? .seconds(3_600), time)
                }
            }
            guard let bare = best[nil] else { continue }
            let ratios = CaptureLevel.allCases.compactMap { level in
                best[level].map { "\(level) \(Self.ratio($0, bare))" }
            }
            print("\(workload.rawValue): bare \(bare), \(ratios.joined(separator: ", "))")
        }
    }

    private static func ratio(_ time: Duration, _ bare: Duration) -> String {
        let hundredths = Int((time / bare * 100).rounded())
        return "\(hundredths / 100).\(hundredths % 100 / 10)\(hundredths % 10)"
    }
}
