import ChangeCapture
import OracleSupport
import SQLiteConnection

/// Measures every workload without capture, with hooks that keep nothing and at each level, alternating, and keeps the
/// best time of each.
struct CostReport {
    let rows: Int
    let rounds: Int
    /// The one workload to measure; nil for all.
    let only: Int?

    func run() throws {
        print("\(rows) rows, best of \(rounds); SQLite \(Library.version); processor time as a multiple of bare")
        for (number, workload) in Workload.allCases.enumerated() where only ?? number == number {
            var best: [Subject: Duration] = [:]
            for _ in 0..<rounds {
                for subject in Subject.all {
                    let time = try workload.measure(rows: rows, subject)
                    best[subject] = min(best[subject] ?? .seconds(3_600), time)
                }
            }
            guard let bare = best[.bare] else { continue }
            func ratios(_ subjects: [Subject]) -> String {
                subjects.compactMap { subject in
                    best[subject].map { "\(subject.name) \(Self.ratio($0, bare))" }
                }.joined(separator: ", ")
            }
            print("\(workload.rawValue): bare \(bare)")
            print("    floor: \(ratios(Subject.floors))")
            print("    capture: \(ratios(Subject.captures))")
        }
    }

    static func ratio(_ time: Duration, _ bare: Duration) -> String {
        let hundredths = Int((time / bare * 100).rounded())
        return "\(hundredths / 100).\(hundredths % 100 / 10)\(hundredths % 10)"
    }
}
