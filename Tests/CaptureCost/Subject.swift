import ChangeCapture
import PreUpdateFloor

/// What a workload is measured with.
enum Subject: Hashable {
    case bare
    /// A hook in C that keeps nothing.
    case floor(Floor)
    case capture(CaptureLevel)

    enum Floor: String, CaseIterable {
        /// Returns at once.
        case empty
        /// Looks at the rowids.
        case key
        /// Reads one column, old and new: the minimum to determine whether an UPDATE changed it.
        case column = "one column"
        /// Reads every column once, old and new.
        case values = "every column"

        var kind: preupdate_floor_kind {
            switch self {
            case .empty: PREUPDATE_FLOOR_EMPTY
            case .key: PREUPDATE_FLOOR_KEY
            case .column: PREUPDATE_FLOOR_COLUMN
            case .values: PREUPDATE_FLOOR_VALUES
            }
        }
    }

    static let floors = Floor.allCases.map(Subject.floor)
    static let captures = CaptureLevel.allCases.map(Subject.capture)
    static let all = [bare] + floors + captures

    var name: String {
        switch self {
        case .bare: "bare"
        case .floor(let floor): floor.rawValue
        case .capture(let level): "\(level)"
        }
    }

    /// Sets the floor hook, or none, for the connections that are opened from now on.
    func install() {
        if case .floor(let floor) = self {
            preupdate_floor_install(floor.kind)
        } else {
            preupdate_floor_install(PREUPDATE_FLOOR_NONE)
        }
    }

    var level: CaptureLevel? { if case .capture(let level) = self { level } else { nil } }
}
