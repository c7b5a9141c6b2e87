"""Reads connections with h11, as a server that answers each request at once.

The argument is the path of a file that has a line for each connection: the bytes that the client sent, in base64. For
each of them, one line of JSON is printed. It is decoded by H11Reading in DifferentialReadings.swift. Texts are in
Latin-1: one character for each byte.
"""
import base64
import json
import sys

import h11

# Not 200, which would turn a CONNECT into a tunnel.
ANSWER = h11.Response(status_code=404, headers=[("Content-Length", "0")])


def text(value):
    return bytes(value).decode("latin-1")


class Reading:
    def __init__(self, received):
        self.connection = h11.Connection(h11.SERVER)
        self.received = received
        # The complete requests, and the incomplete one.
        self.requests, self.begun = [], None
        self.ending, self.objection = None, None
        if received:
            self.connection.receive_data(received)
        try:
            while self.ending is None:
                self.take(self.connection.next_event())
        except h11.RemoteProtocolError as error:
            self.ending, self.objection = "refused", str(error)
        if self.ending == "waiting":
            self.look_ahead()

    def take(self, event):
        if event is h11.NEED_DATA:
            self.ending = "waiting"
        elif isinstance(event, h11.Request):
            self.begin(event)
        elif isinstance(event, h11.Data):
            self.begun["content"] += text(event.data)
        elif isinstance(event, h11.EndOfMessage):
            self.answer()
        else:
            raise AssertionError(f"unexpected event: {event!r}")

    def begin(self, request):
        self.begun = {
            "version": text(request.http_version),
            "method": text(request.method),
            "target": text(request.target),
            "fields": [[text(name), text(value)] for name, value in request.headers],
            "content": "",
        }

    def answer(self):
        self.begun["end"] = len(self.received) - len(self.connection.trailing_data[0])
        self.requests.append(self.begun)
        self.begun = None
        self.connection.send(ANSWER)
        self.connection.send(h11.EndOfMessage())
        if self.connection.our_state is h11.MUST_CLOSE:
            self.ending = "closed"
        else:
            self.connection.start_next_cycle()

    def look_ahead(self):
        """Finds out whether h11 would accept an incomplete line or section if an empty line followed."""
        unread = self.connection.trailing_data[0]
        if not unread:
            return
        self.connection.receive_data(b"\n\r\n" if unread.endswith(b"\r") else b"\r\n\r\n")
        try:
            event = self.connection.next_event()
            if isinstance(event, h11.Request):
                self.begin(event)
        except h11.RemoteProtocolError as error:
            self.objection = str(error)

    def json(self):
        return json.dumps(
            {
                "requests": self.requests,
                "begun": self.begun,
                "end": self.ending,
                "objection": self.objection,
            }
        )


with open(sys.argv[1]) as lines:
    for line in lines:
        print(Reading(base64.b64decode(line)).json())
