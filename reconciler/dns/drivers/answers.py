"""What a name server's answer means: signatures checked, each refusal one clear error.

Some servers do not sign a refusal (PowerDNS, for a zone or key that it does not know): an unsigned
answer counts as a refusal, never as a success.
"""

import dns.exception
import dns.message
import dns.rcode
import dns.tsig

from state.drivers import BadKey, DNSError, DNSRefused, DNSUnreachable

PEER = {
    dns.tsig.PeerBadKey: "BADKEY: the server does not know a key of this name and algorithm",
    dns.tsig.PeerBadSignature: "BADSIG: the key's secret is not the server's",
    dns.tsig.PeerBadTime: "BADTIME: this machine's clock and the server's differ by over 5 minutes",
    dns.tsig.PeerBadTruncation: "BADTRUNC: the server wants longer signatures",
    dns.tsig.BadSignature: "the answer's signature is not made with the key's secret",
    dns.tsig.BadKey: "the answer is signed with another key",
    dns.tsig.BadAlgorithm: "the answer is signed by another algorithm",
    dns.tsig.BadTime: "the answer is older or newer than 5 minutes by this machine's clock",
}
"""What is wrong with a signature, in words."""
MEANINGS = {
    dns.rcode.FORMERR: "the server cannot read it",
    dns.rcode.NOTIMP: "the server takes no dynamic updates",
    dns.rcode.NOTZONE: "a name is not in the zone",
}


def parsed(
    query: dns.message.Message,
    wire: bytes,
    told: str,
    context: dns.tsig.HMACTSig | dns.tsig.GSSTSig | None = None,
    *,
    transfer: bool = False,
) -> dns.message.Message:
    """Return an answer whose signature holds; raises DNSError otherwise.

    `context` is that of the message before in a transfer, whose messages need not all be signed.
    """
    later = transfer and context is not None
    try:
        answer = dns.message.from_wire(
            wire,
            keyring=query.keyring,
            request_mac=query.mac,
            xfr=transfer,
            tsig_ctx=context,
            multi=transfer,
            one_rr_per_rrset=transfer,
        )
    except dns.exception.DNSException as error:
        raise _wrong(error, query, wire, told) from None
    if query.had_tsig and not answer.had_tsig and not later:
        raise unsigned(answer.rcode(), told)
    return answer


def _wrong(
    error: dns.exception.DNSException, query: dns.message.Message, wire: bytes, told: str
) -> DNSError:
    for kind, words in PEER.items():
        if type(error) is kind:
            return BadKey(f"{told}: {words}")
    try:
        answer = dns.message.from_wire(wire, keyring=False, ignore_trailing=True)
    except dns.exception.DNSException:
        return DNSUnreachable(f"{told}: the answer cannot be read: {error}")
    if query.had_tsig and not answer.had_tsig:
        return unsigned(answer.rcode(), told)
    return DNSUnreachable(f"{told}: the answer cannot be read: {error}")


def unsigned(rcode: dns.rcode.Rcode, told: str) -> DNSError:
    """What an answer without a signature to a signed question comes to."""
    if rcode == dns.rcode.NOERROR:
        return BadKey(f"{told}: the answer is not signed: the server knows no such key")
    return refusal(told, rcode)


def refusal(told: str, rcode: dns.rcode.Rcode) -> DNSError:
    """The error of an answer code (RFC 1035 section 4.1.1, RFC 2136 section 2.2)."""
    word = dns.rcode.to_text(rcode)
    if rcode == dns.rcode.NOTAUTH:
        return BadKey(f"{told}: {word}: the server does not take the key for this zone")
    if rcode == dns.rcode.REFUSED:
        return BadKey(f"{told}: {word}: the server does not do this for this key or address")
    if rcode == dns.rcode.SERVFAIL:
        return DNSUnreachable(f"{told}: {word}: the server has trouble of its own")
    return DNSRefused(f"{told}: {word}: {MEANINGS.get(rcode, 'the server does not take it')}")
