public import EventLoop
internal import Registry

/// What a bot is, for those who test the settings.
public enum BotInspection {
  /// The bot's user name, from the Bot API. Throws if the server cannot be reached or refuses the token.
  public static func name(_ settings: BotSettings, on loop: EventLoop) async throws -> String {
    try await loop.run {
      let api = try BotAPI(on: loop, settings)
      do {
        let name = try await api.name()
        await api.close()
        return name
      } catch {
        await api.close()
        throw error
      }
    }
  }
}
