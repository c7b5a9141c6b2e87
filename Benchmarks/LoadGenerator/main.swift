private import Foundation

// The programs of the benchmark that must be fast; `Benchmarks/run.py` runs them.
//
//   benchmark-load < PLAN          sends the requests of a plan and prints the results, both JSON
//   benchmark-load argon2id S N    how often N threads compute argon2id in S seconds, at the service's default cost
//   benchmark-load hashes N        N argon2id hashes of the first line of standard input

let arguments = CommandLine.arguments.dropFirst().map(\.self)

switch (arguments.first, arguments.dropFirst().compactMap { Int($0) }) {
case (nil, _):
  let plan = try JSONDecoder().decode(Plan.self, from: FileHandle.standardInput.readDataToEndOfFile())
  let report = try LoadGenerator(plan).run()
  FileHandle.standardOutput.write(try JSONEncoder().encode(report))
case ("argon2id", let numbers) where numbers.count == 2:
  print(try Hashing.rate(seconds: numbers[0], threads: numbers[1]))
case ("hashes", let numbers) where numbers.count == 1:
  for hash in try Hashing.hashes(of: readLine() ?? "", count: numbers[0]) { print(hash) }
default:
  FileHandle.standardError.write(Data("benchmark-load: see Benchmarks/LoadGenerator/main.swift\n".utf8))
  exit(2)
}
