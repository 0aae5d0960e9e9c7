"""The embedded MQTT 5 broker: rumqttd from the `iotcore` wheel, on loopback, in its own process.

It keeps queues in memory and has no access lists; nothing of value rests on it (a receipt of the ledger is the only
acknowledgement that deletes an event). Production sets `mqtt_url` to a Mosquitto with mTLS and no broker role runs.
"""

import logging
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from server.core.ports import wait_until_listening

_CONFIG: Final = """\
id = 0
[router]
id = 0
max_connections = 2000
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v5.1]
name = "cinnabar"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 10000
max_payload_size = 262144
max_inflight_count = 1000
dynamic_filters = true
"""


def run(port: int, *, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Serve on loopback until `stop` is set; the process then ends, since the broker itself cannot be told to.

    Raises: NotListening, when the port belongs to another process.
    """
    from iotcore.iotcore import IotCoreBroker

    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "broker.toml"
        config.write_text(_CONFIG.format(port=port))
        broker = IotCoreBroker(config_path=str(config))
        threading.Thread(target=broker.run_forever, daemon=True, name="broker").start()
        wait_until_listening("127.0.0.1", port, stop=stop)
        ready()
        stop.wait()
