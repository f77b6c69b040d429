import QueryService

/// The query service's own request. Named here because the module `QueryService` has a class of the same name, which hides
/// `QueryService.QueryRequest` where ``WireProtocol/QueryRequest`` is visible too.
typealias ServiceQuery = QueryRequest
