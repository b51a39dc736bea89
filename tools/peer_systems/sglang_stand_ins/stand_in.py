"""Modules that SGLang imports on every machine and never calls on a processor without AMX: every name in them is an empty class."""
import importlib.machinery
import sys
import types


class _Name(type):
    """The type of the empty classes: their attributes are words, as of an enumeration that is only looked at."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return f"{cls.__name__}.{name}"


class _Empty(metaclass=_Name):
    def __init__(self, *args, **kwargs):
        pass

    def __call__(self, *args, **kwargs):
        raise RuntimeError(f"{type(self).__name__} is a stand-in: this machine has no such kernel")

    def __class_getitem__(cls, item):
        return cls


class _Module(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        value = _Name(name, (_Empty,), {"__module__": self.__name__})
        setattr(self, name, value)
        return value


class _Submodules:
    """Finds every submodule of a package, and finds it empty."""

    def __init__(self, package):
        self.prefix = package + "."

    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if name.startswith(self.prefix) else None

    def create_module(self, spec):
        module = _Module(spec.name)
        module.__path__ = []
        return module

    def exec_module(self, module):
        pass


def stand_in(package):
    """Makes the package that calls this a stand-in, with all of its submodules."""
    sys.modules[package].__class__ = _Module
    sys.meta_path.append(_Submodules(package))
