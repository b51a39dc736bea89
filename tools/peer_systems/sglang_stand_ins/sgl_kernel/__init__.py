"""Also gives torch.cpu what SGLang's recorders ask of every device."""
import time

import torch

from stand_in import stand_in

__version__ = "0.4.10"
stand_in(__name__)


class _TimedEvent(torch.cpu.Event):
    """--enable-forward-pass-metrics times its passes with events of the device; a subclass, since the scheduler waits for them."""

    def __init__(self, enable_timing=False):
        self.stamp_s = None

    def record(self, stream=None):
        self.stamp_s = time.perf_counter()

    def query(self):
        return self.stamp_s is not None

    def elapsed_time(self, end):
        return (end.stamp_s - self.stamp_s) * 1000


torch.cpu.Event = _TimedEvent
torch.cpu.is_current_stream_capturing = lambda: False  # asked by the expert recorder on every pass
torch.cpu.empty_cache = lambda: None                   # called by its dumps
