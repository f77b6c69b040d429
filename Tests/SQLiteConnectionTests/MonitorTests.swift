import SQLiteConnection
import Testing

@Suite struct MonitorTests {
    @Test func `every thread that waits for a change receives it`() async {
        let monitor = Monitor(0)
        let found = await withTaskGroup(of: Int?.self) { group in
            for _ in 0..<3 { group.addTask { monitor.wait(atMost: .seconds(30)) { $0 > 4 ? $0 : nil } } }
            for value in 1...5 { monitor.update { $0 = value } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(found == [5, 5, 5])
    }

    @Test func `a wait for what does not come ends, after its time`() {
        let monitor = Monitor(0)
        let begin = ContinuousClock.now
        #expect(monitor.wait(atMost: .milliseconds(20)) { $0 > 0 ? $0 : nil } == nil)
        #expect(ContinuousClock.now - begin >= .milliseconds(20))
    }
}
