# One client that remembers what it was told, and compares. It stands behind the prelude of a workload and a line `NUMBER = 0`, and
# ends once the entry soak-end exists. Each second it prints what it met; each loss, with what it knew; in the end a summary.
import http.client, json, random, time
from urllib.parse import urlsplit

SERVICE = urlsplit(os.environ['ENDPOINT']).hostname
CLUSTER, NAMESPACE = SERVICE.split('.')[:2]
NODES = [f'{CLUSTER}-{ordinal}.{CLUSTER}-nodes.{NAMESPACE}.svc' for ordinal in range(3)]
KEYS = {'X-API-Key': os.environ['API_KEY'], 'X-User-Key': os.environ['USER_KEY'], 'Content-Type': 'application/json'}
# Entries of one client: bounded, so that the store stays as large as it is.
NAMES = 100
# Half of the clients keep their connection, the others make a new one for each request.
KEEPS = NUMBER % 2 == 0
# For how long the last look asks a node again that does not answer.
LAST_LOOK = 120
NOT_SENT, NO_ANSWER = 'not sent', 'no answer'
# What surely left everything as it was: it reached no node, there was nothing to delete, the disk is full.
UNTOUCHED = (NOT_SENT, 404, 507)
chance = random.Random(NUMBER)
serial = 0


class NotSent(Exception):
    pass


class Connection:
    def __init__(self, host, keeps):
        self.host, self.keeps, self.connection = host, keeps, None

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    # Status, body and version of an answer.
    def ask(self, method, path, body, headers):
        if self.connection is None:
            connection = http.client.HTTPConnection(self.host, 9000, timeout=10)
            try:
                connection.connect()
            except OSError as failure:
                raise NotSent from failure
            self.connection = connection
        try:
            self.connection.request(method, path, body and json.dumps(body), {**KEYS, **headers})
            answer = self.connection.getresponse()
            text = answer.read()
        except BaseException:
            self.close()
            raise
        if not self.keeps or answer.will_close:
            self.close()
        return answer.status, text, answer.headers.get('X-OSC-Version')


class Second:
    def __init__(self):
        self.at, self.requests, self.failed, self.slowest, self.lost = int(time.time()), 0, 0, 0.0, 0

    def tell(self):
        print(json.dumps({'at': self.at, 'requests': self.requests, 'failed': self.failed,
            'slowest': round(self.slowest, 3), 'lost': self.lost}), flush=True)


# What stands under a name: what was acknowledged last (None: deleted, or never written), and what was asked for without an answer.
class Entry:
    def __init__(self, path):
        self.path, self.value, self.version, self.unanswered, self.is_lost = path, None, None, [], False


second = Second()
service = Connection(SERVICE, KEEPS)
generations = [0] * NAMES
entries = [Entry(f'/configs/soak-{NUMBER}-{name}-0') for name in range(NAMES)]
# Names with a request that was never answered: it may still be on its way, also behind later ones, so they are written no more.
given_up = []
acknowledged = 0


def count(begun, is_done):
    global second
    if int(time.time()) != second.at:
        second.tell()
        second = Second()
    second.requests += 1
    second.failed += not is_done
    second.slowest = max(second.slowest, time.monotonic() - begun)


# A read waits for the last version that this client knows, and a write comes after it, on whichever node.
def attempt(connection, method, entry, done, body=None):
    headers = {}
    if entry.version:
        headers['X-OSC-Min-Version' if method == 'GET' else 'X-OSC-Version'] = entry.version
    begun, text, version = time.monotonic(), None, None
    try:
        status, text, version = connection.ask(method, entry.path + ('?upsert=true' if method == 'PUT' else ''), body, headers)
    except NotSent:
        status = NOT_SENT
    except (OSError, http.client.HTTPException):
        status = NO_ANSWER
    count(begun, status in done)
    return status, text, version


def write(name, wanted):
    global acknowledged
    entry = entries[name]
    if wanted is None:
        done = (200,)
        status, _, version = attempt(service, 'DELETE', entry, done)
    else:
        done = (200, 201)
        status, _, version = attempt(service, 'PUT', entry, done, {'value': {'serial': wanted, 'text': 'x' * 100}})
    if status in done:
        entry.value, entry.version = wanted, version
        acknowledged += 1
    elif status not in UNTOUCHED:
        entry.unanswered.append(wanted)
        given_up.append(entry)
        generations[name] += 1
        entries[name] = Entry(f'/configs/soak-{NUMBER}-{name}-{generations[name]}')
    return status in done


def compare(connection, entry):
    status, text, _ = attempt(connection, 'GET', entry, (200, 404))
    if status not in (200, 404):
        return False
    found = json.loads(text)['value']['serial'] if status == 200 else None
    if found != entry.value and found not in entry.unanswered and not entry.is_lost:
        entry.is_lost = True
        second.lost += 1
        print(json.dumps({'loss': f'{entry.path} at {connection.host}: {found} instead of {entry.value}, version {entry.version}, '
            f'unanswered {entry.unanswered}'}), flush=True)
    return True


def is_over():
    status, _, _ = attempt(service, 'GET', Entry('/configs/soak-end'), (200, 404))
    return status == 200


next_look = time.monotonic()
while True:
    if time.monotonic() >= next_look:
        if is_over():
            break
        next_look = time.monotonic() + 1
    name = chance.randrange(NAMES)
    what = chance.random()
    if what < 0.5:
        went = compare(service, entries[name])
    elif what < 0.6 and entries[name].value is not None:
        went = write(name, None)
    else:
        serial += 1
        went = write(name, serial)
    time.sleep(0.05 if went else 0.3)

looked_at = 0
for host in NODES:
    node = Connection(host, True)
    for entry in entries + given_up:
        end = time.monotonic() + LAST_LOOK
        while not compare(node, entry):
            assert time.monotonic() < end, f'{host} does not tell what it has of {entry.path}'
            time.sleep(0.3)
        looked_at += 1
    node.close()
second.tell()
print(json.dumps({'acknowledged': acknowledged, 'given_up': len(given_up), 'looked_at': looked_at}), flush=True)
