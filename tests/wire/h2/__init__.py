"""HTTP/2 as raw frames: what RFC 9113 and 7541 ask of a server, case by case, and what an attacker sends instead."""
