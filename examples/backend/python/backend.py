"""An example backend in Python: answers what users say in a channel, piece by piece and then as a whole.

    pip install --require-hashes -r requirements.txt
    python3 backend.py

../README.md has the settings, docs/backends.md the contract.
"""

import json
import os
import signal
import sys
import time
from datetime import datetime, timezone

from confluent_kafka import Consumer, KafkaException, Producer

from signature import sign

CHANNEL = os.environ.get("CHANNEL", "chat")
SIGNING_KEY = os.environ.get("SIGNING_KEY")
FORM = {"components": [
    {"type": "textfield", "key": "name", "label": "Your name", "input": True, "validate": {"required": True}},
    {"type": "button", "key": "submit", "label": "Send", "action": "submit", "input": True},
]}

kafka = {"bootstrap.servers": os.environ.get("KAFKA_BROKERS", "127.0.0.1:9092")}
if user := os.environ.get("KAFKA_SASL_USERNAME"):
    kafka |= {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": user,
        "sasl.password": os.environ["KAFKA_SASL_PASSWORD"],
    }
    if authorities := os.environ.get("KAFKA_SSL_CA"):
        kafka["ssl.ca.location"] = authorities
# Hashes keys as Java's client does, so that a user's records are in the partition where the bridge looks for them.
producer = Producer({**kafka, "enable.idempotence": True, "partitioner": "murmur2_random"})
consumer = Consumer(
    {**kafka, "group.id": f"{CHANNEL}-python", "auto.offset.reset": "earliest", "enable.auto.commit": False}
)


def send(to, kind, id, data):
    """Writes an event to the user of the record `to`."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": id,
        "ce_type": kind,
        "ce_source": "/example/python",
        "ce_time": datetime.now(timezone.utc).isoformat(),
        "content-type": "application/json",
    }
    if "traceparent" in to["headers"]:
        headers["traceparent"] = to["headers"]["traceparent"]
    value = json.dumps(data).encode()
    if SIGNING_KEY:
        headers["causeway-signature"] = sign(SIGNING_KEY, CHANNEL, to["key"], headers, value)
    producer.produce(f"{CHANNEL}.outbound", value, to["key"], headers=list(headers.items()), on_delivery=delivered)
    producer.poll(0)


def delivered(error, _record):
    if error:
        raise KafkaException(error)  # The program ends without a commit. The next one answers again, with the same ids.


def answer(to, *pieces):
    """The ids derive from that of the answered event. A browser ignores what it has already."""
    id = f"{to['id']}.answer"
    for seq, text in enumerate(pieces):
        send(to, "delta", f"{id}.{seq}", {"id": id, "seq": seq, "text": text})
        time.sleep(0.03)  # As long as a model may take.
    send(to, "message", id, {"id": id, "role": "assistant", "text": "".join(pieces)})


def react(to, kind, data):
    # A user may send anything. What matches nothing is ignored.
    match kind, data:
        case "message", {"text": "form"}:
            id = f"{to['id']}.form"
            send(to, "form", id, {"id": id, "role": "assistant", "text": "Who are you?", "form": FORM})
        case "message", {"text": str(text)}:
            answer(to, "You wrote ", f"{len(text.split())} ", "words.")
        case "form", {"submission": {"data": {"name": str(name)}}}:
            answer(to, "Thank you, ", f"{name}.")
        case "delete", {"id": str(id)}:
            # A backend that keeps messages deletes it there first, if it is one of this user.
            send(to, "delete", f"{to['id']}.deletion", {"id": id})


def handle(record):
    headers = {name: (value or b"").decode(errors="replace") for name, value in record.headers() or []}
    id = headers.get("ce_id")
    if not id or not record.key() or id in answered:
        return
    try:
        data = json.loads(record.value() or b"null")
    except ValueError:
        return
    react({"key": record.key(), "id": id, "headers": headers}, headers.get("ce_type"), data)
    producer.flush()
    answered[id] = True
    if len(answered) > 10_000:
        del answered[next(iter(answered))]


answered = {}  # The latest ids: Kafka may hold an event twice.
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
consumer.subscribe([f"{CHANNEL}.inbound"])
try:
    while True:
        record = consumer.poll(1)
        if record is None:
            continue
        if record.error():
            print(record.error(), file=sys.stderr)
            continue
        handle(record)
        consumer.commit(record, asynchronous=False)
finally:
    consumer.close()  # Leaves the group, so that the others need not wait for its session to end.
