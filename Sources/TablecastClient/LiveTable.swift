package import WireProtocol

/// The rows of a live query, updated by its messages.
package struct LiveTable: Sendable {
    package private(set) var columns: [String] = []
    package private(set) var rows: [[String: WireValue]] = []
    private var isOrdered = false
    /// The parts received so far of an incomplete snapshot or change.
    private var partRows: [[String: WireValue]] = []
    private var partChanges: [QueryChangedPayload.Row] = []

    package init() {}

    /// Whether the rows are complete and changed with this message.
    package mutating func apply(_ payload: ServerPayload) -> Bool {
        switch payload {
        case .querySubscribed(let subscribed):
            columns = subscribed.columns
            isOrdered = subscribed.isOrdered
            // Parts that a lost connection did not complete come again.
            partRows = []
            partChanges = []
            return false
        case .querySnapshot(let snapshot):
            if snapshot.isReset == true { partRows = [] }
            if let changed = snapshot.columns { columns = changed }
            partRows += snapshot.rows
            guard snapshot.isLast else { return false }
            rows = partRows
            partRows = []
            return true
        case .queryChanged(let changed):
            partChanges += changed.rows
            guard changed.isLast else { return false }
            let changes = partChanges
            partChanges = []
            if isOrdered { applyInOrder(changes) } else { applyToBag(changes) }
            return true
        default:
            return false
        }
    }

    private mutating func applyInOrder(_ changes: [QueryChangedPayload.Row]) {
        let removals = changes.filter { $0.before != nil }.compactMap(\.oldIndex).sorted(by: >)
        for index in removals where rows.indices.contains(index) { rows.remove(at: index) }
        let insertions = changes.filter { $0.after != nil }.sorted { $0.index ?? 0 < $1.index ?? 0 }
        for change in insertions {
            guard let row = change.after, let index = change.index, index <= rows.count else { continue }
            rows.insert(row, at: index)
        }
    }

    private mutating func applyToBag(_ changes: [QueryChangedPayload.Row]) {
        for change in changes {
            let place = change.before.flatMap { rows.firstIndex(of: $0) }
            switch (place, change.after) {
            // An updated row keeps its place, so that it does not move on the screen.
            case (let place?, let row?): rows[place] = row
            case (let place?, nil): rows.remove(at: place)
            case (nil, let row?): rows.append(row)
            case (nil, nil): break
            }
        }
    }
}
