"""The ledger's own MQTT client under the shipped broker configuration: its certificate is its name and its right."""

from server.core.clock import SystemClock
from server.ledger.consumer import CLIENT_ID, Consumer
from server.ledger.mqtt_link import BrokerAddress
from server.ledger.receipts import OutgoingReceipt
from server.ledger.role import broker_address
from tests.deploy.conftest import Site

GATEWAY = "gw-0001"


def consumer_of(address: BrokerAddress) -> Consumer:
    return Consumer(address, receive_maximum=2000, clock=SystemClock())


def test_events_come_and_receipts_go_over_mutual_tls(site: Site) -> None:
    consumer = consumer_of(broker_address(site.run, CLIENT_ID))
    consumer.start(wait_s=20)
    assert consumer.connected
    receipt = OutgoingReceipt(gateway_id=GATEWAY, device_id="CB-1", data=b"receipt" * 40)
    with site.client(GATEWAY, site.login(GATEWAY)) as gateway:
        gateway.answer("connect")
        assert not gateway.subscribe(f"seal/v1/{GATEWAY}/down/receipt/+").is_failure
        for number in range(20):
            assert not gateway.publish(f"seal/v1/{GATEWAY}/up/evt/CB-1", b"%d" % number * 1_000).is_failure
        deliveries = []
        while len(deliveries) < 20:
            deliveries += consumer.take(most=100, timeout_s=20)
        consumer.acknowledge(deliveries)
        consumer.send_receipts([receipt])
        while consumer._in_flight:
            consumer.take(most=1, timeout_s=20)
    consumer.stop()
    assert [one.payload for one in deliveries] == [b"%d" % number * 1_000 for number in range(20)]
    assert {(one.gateway_id, one.device_id) for one in deliveries} == {(GATEWAY, "CB-1")}


def test_without_the_certificate_there_is_no_connection(site: Site) -> None:
    address = broker_address(site.run, CLIENT_ID)
    assert address.login
    bare = consumer_of(BrokerAddress(host=address.host, port=address.port))
    bare.start(wait_s=1)
    assert not bare.connected
    bare.stop()
