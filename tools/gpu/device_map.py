"""Where Accelerate keeps which module."""


def device_map_of(module, device, offloaded, to, name=""):
    """A `device_map` with the modules named in `offloaded` at `to` and all else at `device`."""
    if name in offloaded:
        return {name: to}
    if name and not any(other.startswith(f"{name}.") for other in offloaded):
        return {name: device}
    children = (device_map_of(child, device, offloaded, to, f"{name}.{key}".lstrip(".")) for key, child in module.named_children())
    return {key: place for child in children for key, place in child.items()}
