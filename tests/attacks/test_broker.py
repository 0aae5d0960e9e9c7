"""The broker belongs to nobody we trust: what it invents is not believed, and nothing needs it to remember."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt.enums import CallbackAPIVersion

from dashboard.demo import mishaps
from dashboard.demo.cast import GATEWAY
from dashboard.demo.story import Stage
from dashboard.demo.waiting import until
from firmware_protocol import cose, events
from firmware_protocol.purposes import Purpose
from server.core.scope import Scope
from server.ledger import service as ledger
from server.ledger.admission import Reason
from server.ledger.schemas import INSTALLATION, SetAsideRead
from tests.fixtures.running import at_headquarters, books, finish, fsck, started, wait_for_step
