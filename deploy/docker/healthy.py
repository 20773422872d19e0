"""Leaves with 0 while the server of this container is ready, for engines that ask by a command and not over HTTP.

Needs nothing but Python: the image has neither curl nor a shell worth the name.
"""

import os
import ssl
import sys
import urllib.request

TIMEOUT_S = 5.0


def main() -> None:
    """Asks the port of TIDEGATE_HTTP_PORT, over TLS where a certificate is configured."""
    scheme = "https" if os.environ.get("TIDEGATE_TLS_CERTIFICATE") else "http"
    address = f"{scheme}://127.0.0.1:{os.environ.get('TIDEGATE_HTTP_PORT', '8000')}/v2/health/ready"
    # The certificate names the Service and not this address. Who answers here is this very container.
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=unverified)
    )
    try:
        opener.open(address, timeout=TIMEOUT_S).close()
    except OSError as error:
        sys.exit(f"{address}: {error}")


if __name__ == "__main__":
    main()
