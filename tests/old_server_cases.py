"""An MLflow server as Azure ML's: what MLflow 3 asks of logged models is not found there."""

import http.client
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

NOT_PASSED_ON = ("connection", "transfer-encoding", "content-length", "host", "keep-alive")


@contextmanager
def without_logged_models(address):
    """Hand all requests on to a server but those; yield the address, and the paths refused."""
    refused = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def _go(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if "/logged-models" in self.path:
                refused.append(self.path)
                self._answer(404, {}, b"")
                return
            connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=120)
            kept = {k: v for k, v in self.headers.items() if k.lower() not in NOT_PASSED_ON}
            connection.request(self.command, self.path, body, kept)
            reply = connection.getresponse()
            headers = {k: v for k, v in reply.headers.items() if k.lower() not in NOT_PASSED_ON}
            self._answer(reply.status, headers, reply.read())
            connection.close()

        def _answer(self, status, headers, body):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _go

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", refused
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
