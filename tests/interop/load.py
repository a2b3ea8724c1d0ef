"""Posts withdrawals of ever new addresses to a gateway until it does not answer any more: each is an entry."""
import json, sys, threading, time, urllib.error, urllib.request

url = sys.argv[1]


def post(path, body):
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    return urllib.request.urlopen(request, timeout=10).read()


def work(thread):
    for number in range(10**9):
        subject = {"email": f"{thread}-{number}-{time.time_ns()}@example.org"}
        try:
            post("/v1/consents", {"subject": subject, "choices": [{"purpose": "email_marketing", "choice": "withdraw"}]})
        except urllib.error.HTTPError as error:
            sys.exit(f"{error.code}: {error.read()}")
        except OSError:
            return
        time.sleep(0.02)


threads = [threading.Thread(target=work, args=(thread,), daemon=True) for thread in range(3)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
