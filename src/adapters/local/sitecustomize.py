# Branchline: keeps the modules of the working tree out of a training run, which is made from a commit.
#
# Python imports this file when it starts, after the .pth files of its environment were read. Editable installs (pip
# install -e, uv sync, conda develop) put the working tree on the module path; here, each such place becomes the same
# place of the checkout, or goes where the checkout has none. Made for one training run; safe to read, not to change.
import os
import sys


def _keep_to_the_commit(roots, own):
    code = os.path.join(own, "code")

    def below(path, folder):
        return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)

    def is_installed(path, root):
        # What an environment inside the repository holds is installed, not source.
        prefixes = {getattr(sys, name, "") or "" for name in ("prefix", "exec_prefix", "base_prefix", "base_exec_prefix")}
        for prefix in map(os.path.realpath, filter(None, prefixes)):
            if prefix != root and below(prefix, root) and below(path, prefix):
                return True
        parts = path[len(root):].split(os.sep)
        if "site-packages" in parts or "dist-packages" in parts:
            return True
        while path != root and below(path, root):
            if os.path.exists(os.path.join(path, "pyvenv.cfg")) or os.path.isdir(os.path.join(path, "conda-meta")):
                return True
            path = os.path.dirname(path)
        return False

    def leads_to(path):
        """The place in the checkout, None where it has none, or the path itself where it is none of ours."""
        if not isinstance(path, str) or not os.path.isabs(path):
            return path
        real = os.path.realpath(path)
        if below(real, own):
            return path
        for root in roots:
            if below(real, root) and not is_installed(real, root):
                inside = os.path.join(code, os.path.relpath(real, root)) if real != root else code
                # A finder names a module without its ending.
                found = inside if os.path.exists(inside) or os.path.exists(inside + ".py") else None
                said.append((path, found))
                return found
        return path

    def is_first():
        # Every process of a training run starts Python anew; one note is enough.
        try:
            os.close(os.open(os.path.join(own, "python", "noted"), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            return True
        except OSError:
            return False

    said = []
    path = []
    for entry in map(leads_to, sys.path):
        if entry is not None and entry not in path:
            path.append(entry)
    sys.path[:] = path

    for finder in list(sys.meta_path):
        module = sys.modules.get(getattr(finder, "__module__", None) or type(finder).__module__)
        # `MAPPING` is setuptools', `_redirections` that of the package `editables` (hatchling, pdm).
        mapping = getattr(module, "MAPPING", None)
        if not isinstance(mapping, dict):
            mapping = getattr(finder, "_redirections", None)
        spaces = getattr(module, "NAMESPACES", None)
        if isinstance(mapping, dict):
            for name, place in list(mapping.items()):
                found = leads_to(place)
                if found is None:
                    del mapping[name]
                else:
                    mapping[name] = found
            for name, places in list(spaces.items()) if isinstance(spaces, dict) else []:
                spaces[name] = [found for found in map(leads_to, places) if found is not None]
            continue
        # Finders of other builders name files of the working tree one by one.
        source = getattr(module, "__file__", None) or ""
        if "site-packages" in source or "dist-packages" in source:
            try:
                with open(source, "rb") as file:
                    text = file.read(1 << 20).decode("utf-8", "replace")
            except OSError:
                continue
            if any(root in text or root.replace("\\", "\\\\") in text for root in roots):
                sys.meta_path.remove(finder)
                said.append((source, None))

    for name, module in list(sys.modules.items()):
        source = getattr(module, "__file__", None)
        if isinstance(source, str) and name != "sitecustomize" and leads_to(source) != source:
            del sys.modules[name]

    for place, found in sorted(set(said), key=str) if said and is_first() else []:
        if found is None:
            text = "it is hidden, because the checkout has no such place. If training needs it, add it to `paths`"
        else:
            text = "Python reads %s of the checkout instead" % os.path.relpath(found, code)
        sys.stderr.write("branchline: %s is in the working tree, not in the commit: %s\n" % (place, text))


def _run_the_next(own):
    """Another sitecustomize of the environment runs as it would have without this one."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    here = os.path.join(own, "python")
    spec = PathFinder.find_spec("sitecustomize", [p for p in sys.path if os.path.realpath(p) != here])
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(module_from_spec(spec))


def _run_the_users():
    """The user's own module would run after this one: it runs now, and Python does not import it again."""
    import site

    if getattr(site, "ENABLE_USER_SITE", False):
        try:
            import usercustomize
        except ImportError as error:
            if error.name != "usercustomize":
                raise


def _guard(roots, own):
    try:
        _keep_to_the_commit(roots, own)
    except Exception as error:  # Training something else than the commit would be worse than not training.
        sys.stderr.write("branchline: cannot keep Python to the commit: %r\n" % (error,))
        os._exit(70)
