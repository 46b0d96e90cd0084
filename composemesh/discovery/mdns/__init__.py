"""Services on the local network, by multicast DNS: those of others are found, ours are announced.

`translate` what announcements come to (pure) · `interfaces` where we listen · `zone` zeroconf, in its own thread
· `health` who is still there · `source` all of it, as a source
"""
