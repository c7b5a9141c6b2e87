"""A Bot API server with users who link their chats: each code that is given to `link` is sent to the bot by a new user, as
https://core.telegram.org/bots/api has it."""
import http.server, itertools, json, queue, threading

# How long a poll waits for a code, and `link` for the bot's answer, in seconds.
POLL_SECONDS = 1
ANSWER_SECONDS = 10

waiting = queue.Queue()
answered = queue.Queue()
numbers = itertools.count(1)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        result = True
        if self.path.endswith("/getMe"):
            result = {"username": "registry_bot"}
        elif self.path.endswith("/getUpdates"):
            result = self.updates()
        elif self.path.endswith("/sendMessage"):
            result = {"message_id": 1}
            answered.put(True)
        content = json.dumps({"ok": True, "result": result}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def updates(self):
        try:
            code = waiting.get(timeout=POLL_SECONDS)
        except queue.Empty:
            return []
        number = next(numbers)
        message = {"text": f"/start {code}", "chat": {"id": number, "type": "private"}, "from": {"id": number}}
        return [{"update_id": number, "message": message}]

    def log_message(self, *_):
        pass


def start(port=0):
    """Returns the origin at which it answers: with port 0, at a free one."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


def link(code):
    """Links a chat, if the client has room for one more."""
    waiting.put(code)
    try:
        answered.get(timeout=ANSWER_SECONDS)
    except queue.Empty:
        print("The bot answered no message.")
