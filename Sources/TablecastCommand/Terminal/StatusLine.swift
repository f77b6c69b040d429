import Synchronization

/// A line at the bottom of the terminal that is drawn over and over. Nothing at all where stderr is no terminal.
///
/// May be used from any thread.
final class StatusLine: Sendable {
    private let terminal: Terminal
    private let isShown = Mutex(false)

    init(_ terminal: Terminal = .error) { self.terminal = terminal }

    func show(_ line: (_ width: Int, Palette) -> String) {
        guard terminal.isInteractive else { return }
        // The last cell stays free: filling it would wrap the line.
        let text = line(terminal.columnCount - 1, terminal.palette)
        isShown.withLock { isShown in
            isShown = true
            terminal.redraw(text)
        }
    }

    /// Takes the line away, so that something else can be printed.
    func clear() {
        isShown.withLock { isShown in
            if isShown { terminal.redraw("") }
            isShown = false
        }
    }
}
