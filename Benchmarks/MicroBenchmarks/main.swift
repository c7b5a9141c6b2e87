private import Glibc

// The cost of one request, part by part, in nanoseconds and allocations; the best of some rounds, because disturbances
// only add time. DATABASE_URL is a PostgreSQL that the service has migrated: `micro.py` starts one.

let parts = try Parts()
print("                                                  ns   allocations")
parts.measureRequests()
parts.measureSignatures()
await parts.measureTokens()
await parts.measureReplay()
parts.measureAnswers()
try await parts.measureStatements()
try await Requests.measure()
exit(0)
