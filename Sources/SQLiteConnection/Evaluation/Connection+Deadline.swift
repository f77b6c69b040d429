extension Connection {
    /// How many steps of the virtual machine lie between two looks at the clock: some ten microseconds.
    private static let stepsPerLook = 1_000

    /// Runs `body`, whose statements fail with `SQLITE_INTERRUPT` once `limit` has passed, and when they need more memory or
    /// temporary files than ``ResourceBudget/Limits/evaluation``. Replaces the progress handler, and on a thread without a
    /// query its budget.
    ///
    /// The deadline holds for a single call of a function too, as far as ``EvaluationPolicy`` says: the functions it replaces
    /// look at the clock by themselves, and the limits bound the others.
    package func withDeadline<R>(_ limit: Duration, _ body: () throws(SQLiteError) -> R) throws(SQLiteError) -> R {
        let end = ContinuousClock.now + limit
        setProgressHandler(everySteps: Self.stepsPerLook) { ContinuousClock.now < end ? .proceed : .interrupt }
        defer { setProgressHandler(everySteps: 0, nil) }
        return try ResourceBudget.ofThisThread().bounding(.evaluation, body)
    }
}
