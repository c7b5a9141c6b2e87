import Glibc

// `device-registry device` has parsed the arguments and passes them by position.
await exit(DeviceProgram.run(Array(CommandLine.arguments.dropFirst())))
