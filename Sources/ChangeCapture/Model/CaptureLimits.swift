/// What the capture of one transaction may hold in memory, over all of its tables.
///
/// Past ``maxValueBytes`` the keys alone are kept, past ``maxRows`` the counts alone; ``TableRows/rowsOmitted`` and
/// ``TableRows/detail`` say so. Counts stay those of the net change.
public struct CaptureLimits: Sendable, Hashable {
    /// Rows kept one by one.
    public var maxRows: Int
    /// Bytes of row values kept, before and after images together.
    public var maxValueBytes: Int
    /// Bytes of the compressed sets of keys by which counts are netted past ``maxRows``.
    public var maxKeySetBytes: Int

    public init(
        maxRows: Int = 1_000_000,
        maxValueBytes: Int = 64 << 20,
        maxKeySetBytes: Int = 64 << 20
    ) {
        self.maxRows = maxRows
        self.maxValueBytes = maxValueBytes
        self.maxKeySetBytes = maxKeySetBytes
    }
}
