# Stands in for nodes where client.py is tested: an HTTPConnection that keeps entries in memory, and tells one lie where LIE says so.
import http.client, json, os, time

ENTRIES, DELETED, lie, requests, connections, clock = {}, {}, os.environ['LIE'], 0, 0, 0.0
# After so many requests it lies; after so many more the client is told to end.
LIES, ENDS = 2000, 3000


class StandIn:
    status, will_close, headers = 200, False, {}

    def __init__(self, host, port, timeout):
        pass

    def connect(self):
        global connections
        connections += 1
        if connections % 50 == 7:
            raise ConnectionRefusedError

    def close(self):
        pass

    def request(self, method, path, body, headers):
        global lie, requests
        requests += 1
        path, _, _ = path.partition('?')
        self.status, self.body, self.headers = 200, {}, {'X-OSC-Version': str(requests)}
        if path == '/configs/soak-end':
            self.status = 200 if requests > ENDS else 404
            return
        if method == 'GET' and requests > LIES:
            if lie == 'lost' and path in ENTRIES:
                del ENTRIES[path]
                lie = 'told'
            if lie == 'back' and path in DELETED and path not in ENTRIES:
                ENTRIES[path] = DELETED[path]
                lie = 'told'
        # Every so often a write gets no answer: every other one of these is made.
        is_silent = method != 'GET' and requests % 40 == 3
        if method == 'PUT' and not (is_silent and requests % 80 == 3):
            ENTRIES[path] = json.loads(body)['value']
        elif method == 'DELETE' and path in ENTRIES:
            DELETED[path] = ENTRIES.pop(path)
        elif method != 'PUT' and path not in ENTRIES:
            self.status = 404
        if is_silent:
            raise TimeoutError
        self.body = {'value': ENTRIES.get(path)}

    def getresponse(self):
        return self

    def read(self):
        return json.dumps(self.body).encode()


def monotonic():
    global clock
    clock += 0.01
    return clock


http.client.HTTPConnection, time.monotonic, time.sleep = StandIn, monotonic, lambda _: None
os.environ.update(ENDPOINT='http://config.team.svc:9000', API_KEY='key', USER_KEY='correct-horse-battery')
