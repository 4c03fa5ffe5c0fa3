"""How a patch document's step finds its worker, as constant texts: no parameter becomes shell.

A host with our agent has the worker. On any other host it is fetched from the server that sent the document, checked
by hash and signature before it runs, kept for the next run, and removed by a document. What to check it against comes
in the step's environment, with the delivered copy. Source: design decisions 2 and 30; decision record 29.
"""

from patchwright.core.documents import Document

REMOVE_WORKER = "Patchwright-RemoveWorker"

# Python without a single quote, since the shell quotes it with those. Hosts have 3.6 and newer.
_FETCH = r"""
import fcntl, hashlib, http.client, os, re, ssl, sys, time
LIMIT, OLD = 16 << 20, 7 * 86400
def end(text):
    sys.stderr.write("worker: " + text + "\n")
    sys.exit(1)
def wanted(name):
    return os.environ.get("PATCHWRIGHT_" + name) or end("the step came without PATCHWRIGHT_" + name)
def mask(seed, size):
    parts = [hashlib.sha256(seed + n.to_bytes(4, "big")).digest() for n in range(size // 32 + 1)]
    return b"".join(parts)[:size]
def signed(data):
    n, size = int(key, 16), 256
    raw = bytes.fromhex(wanted("WORKER_SIGNATURE"))
    if n.bit_length() != 2048 or len(raw) != size or int.from_bytes(raw, "big") >= n:
        return False
    block = pow(int.from_bytes(raw, "big"), 65537, n).to_bytes(size, "big")
    body, digest = block[:223], block[223:255]
    if block[255] != 0xBC or body[0] & 0x80:
        return False
    plain = bytearray(a ^ b for a, b in zip(body, mask(digest, 223)))
    plain[0] &= 0x7F
    if any(plain[:190]) or plain[190] != 1:
        return False
    return hashlib.sha256(bytes(8) + hashlib.sha256(data).digest() + bytes(plain[191:])).digest() == digest
def is_right(data):
    return hashlib.sha256(data).hexdigest() == digest and signed(data)
def read(path):
    try:
        with open(path, "rb") as file:
            return file.read(LIMIT + 1)
    except FileNotFoundError:
        return None
def write(path, data):
    descriptor = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".new", path)
def fetch(path, context):
    last = ""
    for wait in (0, 2, 5, 10):
        time.sleep(wait)
        try:
            if context:
                connection = http.client.HTTPSConnection(host, port, timeout=60, context=context)
            else:
                connection = http.client.HTTPConnection(host, port, timeout=60)
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read(LIMIT + 1)
            connection.close()
            if answer.status == 200 and len(body) <= LIMIT:
                return body
            last = "HTTP status %d, %d bytes" % (answer.status, len(body))
        except (OSError, http.client.HTTPException) as error:
            last = str(error)
    end("%s%s cannot be fetched: %s" % (url, path, last))
def trust(pin):
    if not pin:
        return None
    path = os.path.join(folder, "ca-%s.pem" % pin)
    kept = read(path)
    if kept is None:
        # The pin came by a connection that the agent has verified; nothing but this request is sent unverified.
        blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        blind.check_hostname = False
        blind.verify_mode = ssl.CERT_NONE
        kept = fetch("/ca.pem", blind)
    try:
        found = hashlib.sha256(ssl.PEM_cert_to_DER_cert(kept.decode("ascii").strip())).hexdigest()
    except ValueError:
        found = ""
    if found != pin:
        end("the certificate of %s is not the one that the document names; nothing was sent to it" % url)
    write(path, kept)
    return path
url, digest, key = wanted("WORKER_SERVER"), wanted("WORKER_SHA256"), wanted("WORKER_KEY")
parts = re.match(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]+))?\Z", url) or end("a strange address")
host, port = parts.group(2).strip("[]"), int(parts.group(3) or (443 if parts.group(1) == "https" else 80))
state = os.environ.get("PATCHWRIGHT_STATE_DIR") or "/var/lib/patchwright-agent"
folder = os.path.join(state, "worker")
os.umask(0o077)
os.makedirs(folder, mode=0o700, exist_ok=True)
about = os.lstat(folder)
if os.path.islink(folder) or about.st_uid != os.geteuid() or about.st_mode & 0o022:
    end(folder + " must be a folder of this user alone")
lock = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
fcntl.lockf(lock, fcntl.LOCK_EX)
known = read(os.path.join(folder, "key"))
if known is not None and known.decode("ascii", "replace") != key:
    end("the worker is signed with another key than before; nothing was run. If that is meant, "
        "run the document Patchwright-RemoveWorker on this host first")
ca = trust(os.environ.get("PATCHWRIGHT_WORKER_CA_SHA256", "")) if parts.group(1) == "https" else None
worker = os.path.join(folder, "worker-%s.pyz" % digest)
data = read(worker)
if data is None or not is_right(data):
    secure = ssl.create_default_context(cafile=ca) if parts.group(1) == "https" else None
    data = fetch("/agent/patchwright-agent.pyz", secure)
    if not is_right(data):
        end("what %s served is not the worker that the document names; nothing was run" % url)
    write(worker, data)
if known is None:
    write(os.path.join(folder, "key"), key.encode("ascii"))
os.utime(worker)
for name in os.listdir(folder):
    path = os.path.join(folder, name)
    if name.startswith("worker-") and path != worker and time.time() - os.lstat(path).st_mtime > OLD:
        os.unlink(path)
os.environ.update(PATCHWRIGHT_SERVER=url, PATCHWRIGHT_CA_FILE=ca or "", PATCHWRIGHT_STATE_DIR=state)
if parts.group(1) == "http":
    os.environ["PATCHWRIGHT_INSECURE_HTTP"] = "1"
os.execv(sys.executable, [sys.executable, worker, "patch"])
"""

_REMOVE = r"""
import fcntl, os, shutil, sys
state = os.environ.get("PATCHWRIGHT_STATE_DIR") or "/var/lib/patchwright-agent"
folder = os.path.join(state, "worker")
if not os.path.isdir(folder) or os.path.islink(folder):
    print("There is no worker here that a document brought.")
    sys.exit(0)
for path in (os.path.join(folder, "lock"), os.path.join(state, "patch-run.lock")):
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.stderr.write("A patch run is under way on this host; nothing was removed. Try again when it has ended.\n")
        sys.exit(1)
own_agent = bool(os.environ.get("PATCHWRIGHT_AGENT")) or os.path.exists(os.path.join(state, "identity.json"))
shutil.rmtree(folder if own_agent else state)
print("Removed " + (folder if own_agent else state))
"""


def _by_python(program: str) -> list[str]:
    """Shell lines that become `program`, run by the first Python 3 that the host has."""
    return [
        "for python in python3 /usr/libexec/platform-python; do",
        f'  command -v "$python" >/dev/null 2>&1 && exec "$python" -c \'{program}\'',
        "done",
        'echo "This host has no Python 3, which the worker needs (3.6 or newer)." >&2',
        "exit 1",
    ]


def worker_environment(*, server: str, sha256: str, signature: str, key: str, ca_sha256: str) -> dict[str, str]:
    """What RUN_WORKER fetches and checks a worker by: hash, signature and key's modulus in hex; `ca_sha256` may be "".

    `server` is the URL that nodes call.
    """
    return {
        "PATCHWRIGHT_WORKER_SERVER": server,
        "PATCHWRIGHT_WORKER_SHA256": sha256,
        "PATCHWRIGHT_WORKER_SIGNATURE": signature,
        "PATCHWRIGHT_WORKER_KEY": key,
        "PATCHWRIGHT_WORKER_CA_SHA256": ca_sha256,
    }


RUN_WORKER = [
    "# The worker asks the server for its orders; nothing of the command's parameters is read by this script.",
    'if [ -n "${PATCHWRIGHT_AGENT:-}" ]; then',
    '  exec "${PATCHWRIGHT_PYTHON:-python3}" "$PATCHWRIGHT_AGENT" patch',
    "fi",
    "# Another agent runs this step: the worker comes from the server that sent it, and is kept.",
    *_by_python(_FETCH),
]
"""The script of a patch document's Linux step."""

REMOVE_WORKER_DOCUMENT = Document(
    name=REMOVE_WORKER,
    version="1",
    owner="Patchwright",
    content={
        "schemaVersion": "2.2",
        "description": "Removes the worker that a patch document brought to a host with another agent, and its state.",
        "parameters": {},
        "mainSteps": [
            {
                "action": "aws:runShellScript",
                "name": "RemoveWorker",
                "precondition": {"StringEquals": ["platformType", "Linux"]},
                "inputs": {"timeoutSeconds": "60", "runCommand": _by_python(_REMOVE)},
            }
        ],
    },
)
