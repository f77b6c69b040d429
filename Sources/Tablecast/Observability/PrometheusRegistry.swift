package import CoreMetrics
import Synchronization

/// Stores the metrics of a service and writes them in the text format of Prometheus. Thread-safe.
///
/// Each service has its own, so that `GET /metrics` works without a metrics backend in the application.
///
/// Source: [the text format, version 0.0.4](https://prometheus.io/docs/instrumenting/exposition_formats/).
package final class PrometheusRegistry: MetricsFactory {
    private enum Instrument: Sendable {
        case counter(CounterValue)
        case gauge(GaugeValue)
        case histogram(HistogramValue)
    }

    /// One family of series: a name, and its instruments by their formatted labels.
    private struct Family: Sendable {
        var kind: PrometheusText.Kind
        var series: [String: Instrument] = [:]
    }

    private let families = Mutex<[String: Family]>([:])
    private let help: [String: String]

    /// - Parameter help: a sentence for each metric, by its name without `_total`.
    package init(help: [String: String]) { self.help = help }

    // MARK: MetricsFactory

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        instrument(label, .counter, dimensions) {
            .counter(CounterValue())
        } as: {
            if case .counter(let value) = $0 { value } else { nil }
        } ?? CounterValue()
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        gauge(label, dimensions)
    }

    package func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        aggregate ? histogram(label, dimensions) : gauge(label, dimensions)
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        histogram(label + ".seconds", dimensions)
    }

    // Instruments live as long as the registry: a scraping client must not see a counter decrease.
    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyMeter(_ handler: any MeterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}

    private func gauge(_ label: String, _ dimensions: [(String, String)]) -> GaugeValue {
        instrument(label, .gauge, dimensions) {
            .gauge(GaugeValue())
        } as: {
            if case .gauge(let value) = $0 { value } else { nil }
        } ?? GaugeValue()
    }

    private func histogram(_ label: String, _ dimensions: [(String, String)]) -> HistogramValue {
        instrument(label, .histogram, dimensions) {
            .histogram(HistogramValue())
        } as: {
            if case .histogram(let value) = $0 { value } else { nil }
        } ?? HistogramValue()
    }

    /// The instrument with that name and those labels; nil when the name has another kind, which is then not shown.
    private func instrument<Value: Sendable>(
        _ label: String,
        _ kind: PrometheusText.Kind,
        _ dimensions: [(String, String)],
        _ make: () -> Instrument,
        as cast: (Instrument) -> Value?
    ) -> Value? {
        let labels = PrometheusText.labels(dimensions.sorted { $0.0 < $1.0 }.map { (name: $0.0, value: $0.1) })
        return families.withLock { families in
            var family = families[label] ?? Family(kind: kind)
            let instrument = family.series[labels] ?? make()
            guard family.kind == kind, let value = cast(instrument) else { return nil }
            family.series[labels] = instrument
            families[label] = family
            return value
        }
    }

    // MARK: The text

    /// Appends every series, families and series sorted by name.
    package func write(to text: inout PrometheusText) {
        let families = families.withLock { $0 }
        for (label, family) in families.sorted(by: { $0.key < $1.key }) {
            let name = Self.name(label, family.kind)
            text.begin(name, family.kind, help: help[Self.sanitized(label)])
            for (labels, instrument) in family.series.sorted(by: { $0.key < $1.key }) {
                switch instrument {
                case .counter(let counter): text.sample(name, labels: labels, counter.value)
                case .gauge(let gauge): text.sample(name, labels: labels, Self.number(gauge.value))
                case .histogram(let histogram): histogram.write(name, labels, to: &text)
                }
            }
        }
    }

    private static func name(_ label: String, _ kind: PrometheusText.Kind) -> String {
        kind == .counter ? sanitized(label) + "_total" : sanitized(label)
    }

    private static func sanitized(_ label: String) -> String {
        String(label.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") ? $0 : "_" })
    }

    /// Whole numbers without a fraction.
    private static func number(_ value: Double) -> String {
        Int64(exactly: value).map { String($0) } ?? String(value)
    }
}

private final class CounterValue: CounterHandler {
    private let count = Atomic<Int64>(0)

    var value: Int64 { count.load(ordering: .relaxed) }

    func increment(by amount: Int64) { count.wrappingAdd(amount, ordering: .relaxed) }
    func reset() { count.store(0, ordering: .relaxed) }
}

private final class GaugeValue: MeterHandler, RecorderHandler {
    private let number = Mutex<Double>(0)

    var value: Double { number.withLock { $0 } }

    func set(_ value: Int64) { set(Double(value)) }
    func set(_ value: Double) { number.withLock { $0 = value } }
    func increment(by amount: Double) { number.withLock { $0 += amount } }
    func decrement(by amount: Double) { number.withLock { $0 -= amount } }
    func record(_ value: Int64) { set(Double(value)) }
    func record(_ value: Double) { set(value) }
}

/// Counts values in buckets; times in seconds.
private final class HistogramValue: TimerHandler, RecorderHandler {
    /// Upper bounds in seconds: a point query takes a tenth of a millisecond, the default deadline is half a minute.
    private static let bounds: [Double] = [
        0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
    ]

    private struct Counts: Sendable {
        var buckets = [Int64](repeating: 0, count: bounds.count + 1)
        var sum = 0.0
    }

    private let counts = Mutex(Counts())

    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }
    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        let bucket = Self.bounds.firstIndex { value <= $0 } ?? Self.bounds.count
        counts.withLock { counts in
            counts.buckets[bucket] += 1
            counts.sum += value
        }
    }

    func write(_ name: String, _ labels: String, to text: inout PrometheusText) {
        let counts = counts.withLock { $0 }
        let prefix = labels.isEmpty ? "" : labels + ","
        var total: Int64 = 0
        for (index, count) in counts.buckets.enumerated() {
            total += count
            let bound = index < Self.bounds.count ? String(Self.bounds[index]) : "+Inf"
            text.sample(name + "_bucket", labels: "\(prefix)le=\"\(bound)\"", total)
        }
        text.sample(name + "_sum", labels: labels, counts.sum)
        text.sample(name + "_count", labels: labels, total)
    }
}
