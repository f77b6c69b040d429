/// Metrics in the text format of Prometheus.
///
/// Source: [the text format, version 0.0.4](https://prometheus.io/docs/instrumenting/exposition_formats/).
package struct PrometheusText {
    package enum Kind: String, Sendable { case counter, gauge, histogram }

    package private(set) var text = ""

    package init() {}

    /// Begins a family; its samples follow.
    package mutating func begin(_ name: String, _ kind: Kind, help: String?) {
        if let help { text += "# HELP \(name) \(help)\n" }
        text += "# TYPE \(name) \(kind.rawValue)\n"
    }

    /// - Parameter labels: from ``labels(_:)``, or empty.
    package mutating func sample(_ name: String, labels: String = "", _ value: some CustomStringConvertible) {
        text += name
        if !labels.isEmpty { text += "{\(labels)}" }
        text += " \(value)\n"
    }

    /// Labels as a sample has them between its braces.
    package static func labels(_ labels: [(name: String, value: String)]) -> String {
        labels.map { "\($0.name)=\"\(escaped($0.value))\"" }.joined(separator: ",")
    }

    private static func escaped(_ value: String) -> String {
        value.reduce(into: "") { result, character in
            switch character {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n", "\r\n", "\r": result += "\\n"
            default: result.append(character)
            }
        }
    }
}
