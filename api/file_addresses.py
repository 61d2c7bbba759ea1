"""What is wrong with the address of an input file, as far as it alone tells: what follows from a name is seen later.

Nothing is looked up or fetched here.
"""

from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from shared import data_urls
from shared.addresses import REFUSED_PORTS, IPNetwork, is_allowed, known_address
from shared.files import id_in_url
from shared.input_schema import complain_of_no_uri


def complaint(allowed_networks: Sequence[IPNetwork]) -> Callable[[str], str | None]:
    """Of a service whose files may come from these networks although they are private."""

    def complain(url: str) -> str | None:
        if no_uri := complain_of_no_uri(url):
            return no_uri
        try:
            if data_urls.is_data(url):
                data_urls.check(url)
                return None
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            return str(error) if data_urls.is_data(url) else "it is no valid address"
        return None if id_in_url(url) else _complain_of_place(host, port)

    def _complain_of_place(host: str | None, port: int | None) -> str | None:
        if not host:
            return "it has no host"
        address = known_address(host)
        if address is not None and not is_allowed(address, allowed_networks):
            return "it must not point to a private or reserved address"
        return f"port {port} is none of the web" if port in REFUSED_PORTS else None

    return complain
