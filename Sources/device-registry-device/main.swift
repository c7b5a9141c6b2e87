import Glibc

// `device-registry device` has read the arguments and put them in their places.
await exit(DeviceProgram.run(Array(CommandLine.arguments.dropFirst())))
