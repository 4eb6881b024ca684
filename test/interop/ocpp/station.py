"""A whole session as a charge point, in one of two ways.

  station.py library VERSION URL STATION PASSWORD TAG    by mobilityhouse's ocpp package
  station.py frames  VERSION URL STATION PASSWORD TAG    by websockets alone

VERSION is 1.6 or 2.0.1. It waits for the remote start of TAG, charges 10 kWh and ends. Exit status 0 only if every
answer was what the standard says.
"""

import asyncio
import base64
import itertools
import json
import sys
from datetime import datetime, timezone

import websockets

how, version, url, station, password, tag = sys.argv[1:7]
protocol = "ocpp" + version


def now():
    return datetime.now(timezone.utc).isoformat()


def connect():
    token = base64.b64encode(f"{station}:{password}".encode()).decode()
    return websockets.connect(
        f"{url}/{station}", subprotocols=[protocol], extra_headers={"Authorization": "Basic " + token}
    )


def values16(register, context):
    return [{"timestamp": now(), "sampledValue": [{"value": str(register), "unit": "Wh", "context": context}]}]


def values201(register, context):
    unit = {"unit": "Wh"}
    return [{"timestamp": now(), "sampledValue": [{"value": register, "unitOfMeasure": unit, "context": context}]}]


async def frames():
    """OCPP-J by hand: calls go out with our ids, the central system's calls are answered as they come."""
    async with connect() as ws:
        assert ws.subprotocol == protocol, ws.subprotocol
        ids = itertools.count(1)
        waiting, started = {}, asyncio.Event()

        async def read():
            async for text in ws:
                frame = json.loads(text)
                if frame[0] == 2:
                    payload = frame[3]
                    if frame[2] == "RemoteStartTransaction" and payload["idTag"] == tag:
                        started.set()
                    if frame[2] == "RequestStartTransaction" and payload["idToken"]["idToken"] == tag:
                        started.set()
                    await ws.send(json.dumps([3, frame[1], {"status": "Accepted"}]))
                else:
                    waiting.pop(frame[1]).set_result(frame)

        async def call(action, payload):
            name = f"call-{next(ids)}"
            answered = waiting[name] = asyncio.get_running_loop().create_future()
            await ws.send(json.dumps([2, name, action, payload]))
            answer = await asyncio.wait_for(answered, 60)
            assert answer[0] == 3, answer
            return answer[2]

        reader = asyncio.create_task(read())
        if version == "1.6":
            boot = await call("BootNotification", {"chargePointVendor": "Test", "chargePointModel": "Frames"})
            assert boot["status"] == "Accepted" and boot["interval"] > 0, boot
            await call("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Preparing"})
            await asyncio.wait_for(started.wait(), 60)
            assert (await call("Authorize", {"idTag": tag}))["idTagInfo"]["status"] == "Accepted"
            begin = {"connectorId": 1, "idTag": tag, "meterStart": 1000, "timestamp": now()}
            start = await call("StartTransaction", begin)
            assert start["idTagInfo"]["status"] == "Accepted" and 0 < start["transactionId"] < 2**31, start
            assert await call("StartTransaction", begin) == start, "a repeated start is the same start"
            tx = start["transactionId"]
            await call("MeterValues", {"connectorId": 1, "transactionId": tx, "meterValue": values16(6000, "Sample.Periodic")})
            stop = {"transactionId": tx, "idTag": tag, "meterStop": 11000, "timestamp": now(), "reason": "EVDisconnected"}
            assert (await call("StopTransaction", stop))["idTagInfo"]["status"] == "Accepted"
            await call("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"})
            assert "currentTime" in await call("Heartbeat", {})
        else:
            boot = await call(
                "BootNotification", {"reason": "PowerUp", "chargingStation": {"vendorName": "Test", "model": "Frames"}}
            )
            assert boot["status"] == "Accepted" and boot["interval"] > 0, boot
            await asyncio.wait_for(started.wait(), 60)
            token = {"idToken": tag, "type": "Central"}
            events = [("Started", "RemoteStart", 1000, "Transaction.Begin"),
                      ("Updated", "MeterValuePeriodic", 6000, "Sample.Periodic"),
                      ("Ended", "EVDeparted", 11000, "Transaction.End")]
            for seq, (kind, trigger, register, context) in enumerate(events):
                info = {"transactionId": "by-hand-1", "chargingState": "Charging"}
                if kind == "Ended":
                    info["stoppedReason"] = "EVDisconnected"
                event = {"eventType": kind, "timestamp": now(), "triggerReason": trigger, "seqNo": seq, "evse": {"id": 1},
                         "transactionInfo": info, "meterValue": values201(register, context)}
                if kind == "Started":
                    event["idToken"] = token
                answer = await call("TransactionEvent", event)
                if kind == "Started":
                    assert answer["idTokenInfo"]["status"] == "Accepted", answer
            assert "currentTime" in await call("Heartbeat", {})
        reader.cancel()


async def library16():
    from ocpp.routing import on
    from ocpp.v16 import ChargePoint, call, call_result
    from ocpp.v16.enums import Action, RemoteStartStopStatus

    started = asyncio.Event()

    class Station(ChargePoint):
        @on(Action.remote_start_transaction)
        def remote_start(self, id_tag, **_):
            if id_tag == tag:
                started.set()
            return call_result.RemoteStartTransaction(status=RemoteStartStopStatus.accepted)

    async with connect() as ws:
        point = Station(station, ws)
        reader = asyncio.create_task(point.start())
        boot = await point.call(call.BootNotification(charge_point_model="Library", charge_point_vendor="Test"))
        assert boot.status == "Accepted", boot
        await point.call(call.StatusNotification(connector_id=1, error_code="NoError", status="Preparing"))
        await asyncio.wait_for(started.wait(), 60)
        auth = await point.call(call.Authorize(id_tag=tag))
        assert auth.id_tag_info["status"] == "Accepted", auth
        start = await point.call(call.StartTransaction(connector_id=1, id_tag=tag, meter_start=1000, timestamp=now()))
        assert start.id_tag_info["status"] == "Accepted", start
        tx = start.transaction_id
        await point.call(call.MeterValues(connector_id=1, transaction_id=tx, meter_value=[
            {"timestamp": now(), "sampled_value": [{"value": "6000", "unit": "Wh", "context": "Sample.Periodic"}]}]))
        stop = await point.call(call.StopTransaction(
            transaction_id=tx, id_tag=tag, meter_stop=11000, timestamp=now(), reason="EVDisconnected"))
        assert stop.id_tag_info["status"] == "Accepted", stop
        await point.call(call.StatusNotification(connector_id=1, error_code="NoError", status="Available"))
        await point.call(call.Heartbeat())
        reader.cancel()


async def library201():
    from ocpp.routing import on
    from ocpp.v201 import ChargePoint, call, call_result

    started = asyncio.Event()

    class Station(ChargePoint):
        @on("RequestStartTransaction")
        def request_start(self, id_token, **_):
            if id_token["id_token"] == tag:
                started.set()
            return call_result.RequestStartTransaction(status="Accepted")

    async with connect() as ws:
        point = Station(station, ws)
        reader = asyncio.create_task(point.start())
        boot = await point.call(call.BootNotification(
            charging_station={"model": "Library", "vendor_name": "Test"}, reason="PowerUp"))
        assert boot.status == "Accepted", boot
        await point.call(call.StatusNotification(timestamp=now(), connector_status="Occupied", evse_id=1, connector_id=1))
        await asyncio.wait_for(started.wait(), 60)
        events = [("Started", "RemoteStart", 1000, "Transaction.Begin"),
                  ("Updated", "MeterValuePeriodic", 6000, "Sample.Periodic"),
                  ("Ended", "EVDeparted", 11000, "Transaction.End")]
        for seq, (kind, trigger, register, context) in enumerate(events):
            info = {"transaction_id": "library-1", "charging_state": "Charging"}
            if kind == "Ended":
                info["stopped_reason"] = "EVDisconnected"
            more = {"id_token": {"id_token": tag, "type": "Central"}} if kind == "Started" else {}
            answer = await point.call(call.TransactionEvent(
                event_type=kind, timestamp=now(), trigger_reason=trigger, seq_no=seq, transaction_info=info, evse={"id": 1},
                meter_value=[{"timestamp": now(), "sampled_value": [
                    {"value": register, "unit_of_measure": {"unit": "Wh"}, "context": context}]}], **more))
            if kind == "Started":
                assert answer.id_token_info["status"] == "Accepted", answer
        await point.call(call.Heartbeat())
        reader.cancel()


jobs = {"frames": frames, "library": library16 if version == "1.6" else library201}
asyncio.run(asyncio.wait_for(jobs[how](), 120))
