"""Measurements that anybody can repeat: interleaved in one process, median and spread, as text and JSON."""
