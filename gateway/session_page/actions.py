"""What a form of the keeper's page does at its device."""

from gateway.device import DeviceAgent

ACTIONS = frozenset(
    {"sign-in", "sign-out", "badge", "start", "abort", "reason", "redo", "alarm", "label", "settle", "pair", "scan"}
    | {"passkey", "new-passkey", "remind"}
)


async def act(agent: DeviceAgent, action: str, form: dict[str, str]) -> dict[str, str]:  # noqa: C901, PLR0912 - one line per form
    """Facts for what the page says when it went well. Raises: GatewayError."""
    match action:
        case "sign-in":
            await agent.operators.sign_in(form.get("username", "").strip(), form.get("pin", ""))
        case "badge":
            await agent.operators.badge(form.get("badge", ""))
        case "passkey":
            await agent.passkeys.sign_in(form)
        case "new-passkey":
            return {"number": await agent.passkeys.register(form)}
        case "sign-out":
            await agent.operators.sign_out()
        case "start" if form.get("code"):
            await agent.stamping.start_scanned(form["code"])
        case "start":
            await agent.stamping.start(form.get("request_id", ""))
        case "abort":
            await agent.stamping.abort()
        case "reason":
            agent.stamping.give_reason(form.get("choice", ""), form.get("words", "").strip())
        case "alarm":
            agent.stamping.explain_alarm(form.get("words", ""))
        case "remind":
            await agent.cases.remind()
        case "redo":
            agent.imprints.choose(spoil=bool(form.get("spoil")))
        case "label" if form.get("step") == "leave":
            agent.sticking.leave()
        case "label":
            await agent.sticking.print(again=True)
        case "settle":
            agent.desk.settle(form.get("name", ""))
        case "scan":
            await agent.stamping.scan()
    return {}
