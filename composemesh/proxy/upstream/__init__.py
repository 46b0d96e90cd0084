"""Connections to endpoints: dialled from where the endpoint stands, spoken to in HTTP/1.1 or HTTP/2."""
