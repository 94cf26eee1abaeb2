"""The looks of the toy world: palettes, textures, light, weather and sensor, laid over a scene that does not know them.

A `Style` is, like a layout, a record of ranges; `paint` draws one value from each and renders. The order is that of the
real image: surface colour and texture, light and shadow, lamps, wet reflections, fog by depth, what falls from the sky,
then lens and sensor.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from rein.data.toy.scene import FAR, FRONTAL, GROUND, HEIGHT, LEFT, MATERIALS, RIGHT, WIDTH, M, Range, Scene

_GAME = """
sky 92,152,232 98,160,238 104,164,240
asphalt 92,92,98 98,98,104
marking 240,240,240
paving 172,164,156 180,172,160
kerb 205,205,200
grass 96,170,62 104,178,66
facade 196,112,84 214,184,128 168,150,140 202,136,96
window 70,98,132 80,108,146
roof 110,60,52
door 90,56,40
fencing 120,84,56
metal 118,122,128
sign 226,44,40 36,84,206 240,196,40
foliage 44,128,44 58,142,48
bark 96,68,44
skin 236,188,156
cloth 216,52,60 48,92,206 240,214,70
trousers 44,50,84 70,58,48
paint 206,36,36 36,76,200 236,236,238 28,28,34
glass 44,60,80
tyre 22,22,24
taillight 255,40,40
coach 236,182,36 210,52,44"""
_REAL = """
sky 168,188,206 196,204,208 142,172,206 214,214,210
asphalt 112,110,106 84,84,84 132,126,118 98,92,92
marking 206,204,192 190,186,160
paving 136,132,128 152,128,116 118,118,120 162,158,146
kerb 160,158,152 136,130,124
grass 112,118,66 136,124,78 84,104,56 150,136,96
facade 172,164,150 132,124,118 198,188,170 150,100,82 108,112,118 186,160,120
window 58,66,72 92,106,116 40,44,48 130,144,152
roof 88,78,74 120,96,86
door 74,66,60 58,72,66 110,90,74
fencing 84,84,80 128,116,98 60,72,62 150,150,146
metal 92,96,96 128,128,122 66,70,72
sign 186,58,52 48,84,150 206,176,70 210,210,204 52,116,84
foliage 70,88,46 92,100,52 56,78,54 118,104,52 82,92,70
bark 78,70,60 104,94,82
skin 206,162,136 150,106,82 98,70,54
cloth 84,88,98 52,52,58 150,140,130 128,60,56 66,86,120 190,186,180
trousers 48,52,64 36,36,38 92,86,76
paint 126,130,134 60,64,70 176,178,178 30,32,36 112,46,44 58,76,108 206,206,202
glass 46,54,58 70,82,88 28,30,34
tyre 32,32,32
taillight 206,60,54
coach 190,70,54 206,200,186 70,110,90 196,160,70"""


def _palette(text: str) -> list[np.ndarray]:
    """Per material its tints, (K, 3) in 0..1."""
    entries = dict(entry.strip().split(" ", 1) for entry in text.strip().splitlines())
    return [
        np.array([[int(c) / 255 for c in tint.split(",")] for tint in entries[name].split()], np.float32)
        for name in MATERIALS
    ]


PALETTES = (_palette(_GAME), _palette(_REAL))


@dataclass(frozen=True)
class Style:
    """Each field is the range an image draws from; the defaults are the clean source style."""

    real: Range = (0.0, 0.0)  # share of the materials that take the second palette's tints
    drift: Range = (0.01, 0.02)  # colour shift of a material in this image
    vary: Range = (0.02, 0.03)  # colour shift of one object
    texture: Range = (0.04, 0.07)  # contrast of the surface textures
    clouds: Range = (0.0, 0.15)
    sun: Range = (0.25, 0.35)  # how far the lit side outshines the other
    shadow: Range = (0.4, 0.5)
    warmth: Range = (0.0, 0.05)
    dark: Range = (0.0, 0.0)  # 0 day .. 1 night
    lit: Range = (0.0, 0.0)  # share of the windows with light behind them
    glow: Range = (0.0, 0.0)  # strength of the lamps
    wet: Range = (0.0, 0.0)
    fog: Range = (0.0, 0.002)  # extinction per metre
    grey: Range = (0.0, 0.0)  # overcast: loss of saturation
    streaks: Range = (0.0, 0.0)  # falling rain or snow, number
    snow: Range = (0.0, 0.0)  # white cover on what is flat
    contrast: Range = (1.0, 1.05)
    gamma: Range = (0.97, 1.03)
    blur: Range = (0.25, 0.35)
    noise: Range = (0.0, 0.005)
    vignette: Range = (0.0, 0.05)

    def draw(self, rng: np.random.Generator) -> dict[str, float]:
        return {f.name: float(rng.uniform(*getattr(self, f.name))) for f in fields(self)}


def _tiles(rng: np.random.Generator) -> np.ndarray:
    """(4, 64, 64) periodic textures of unit contrast: coarse noise, fine noise, courses of bricks, vertical planks."""
    wave = np.hypot(*np.meshgrid(np.fft.fftfreq(64), np.fft.fftfreq(64)[:33], indexing="ij")) + 1 / 64
    spectrum = rng.normal(size=(2, 64, 33)) + 1j * rng.normal(size=(2, 64, 33))
    noise = np.fft.irfft2(spectrum / wave ** np.array([1.5, 0.4])[:, None, None], s=(64, 64))
    noise /= noise.std(axis=(1, 2), keepdims=True)
    y, x = np.mgrid[:64, :64]
    brick = np.where((y % 8 == 0) | ((x + 8 * (y // 8 % 2)) % 16 == 0), -2.0, 0.3) + 0.5 * noise[1]
    plank = np.where(x % 8 < 2, -1.6, 0.5) + 0.4 * noise[0]
    return np.stack([noise[0], noise[1], brick, plank]).astype(np.float32)


def _geometry(scene: Scene, plane: np.ndarray, offset: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depth and the two in-plane coordinates of every pixel, metres, each (H, W)."""
    v, u = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32) + 0.5
    du, dv = (u - scene.cx) / scene.focal, (v - scene.cy) / scene.focal
    with np.errstate(divide="ignore", invalid="ignore"):
        cases = [(plane == GROUND, scene.eye / dv), (plane == FRONTAL, offset), (plane == FAR, np.float32(400))]
        z = np.select([case for case, _ in cases], [depth for _, depth in cases], offset / du)
    z = np.clip(np.nan_to_num(z, nan=400.0), 1.0, 400.0)
    x, y = du * z, scene.eye - dv * z
    flat, frontal = plane == GROUND, (plane == FRONTAL) | (plane == FAR)
    return z, np.where(flat | frontal, x, z), np.where(flat, z, y)


def paint(scene: Scene, style: Style, rng: np.random.Generator) -> np.ndarray:
    """Renders a scene: (H, W, 3) uint8."""
    s, index = style.draw(rng), scene.index
    _, material, plane, offset, thing, shade = (np.array(column) for column in zip(*scene.parts, strict=True))
    offset, shade = offset.astype(np.float32), shade.astype(np.float32)
    colours, lit = _colours(s, material, thing, shade, rng)
    planes = plane[index]
    z, a, b = _geometry(scene, planes, offset[index])
    image = colours[index] * (1 + _texture(s, material[index], z, a, b, rng))[..., None]  # (H, W, 3)
    sky = planes == FAR
    image = _sky(image, sky, scene.cy, s, rng)
    image = _light(image, planes, scene.shadow, s, rng)
    if s["snow"]:
        flat = (planes == GROUND) & (_spots(rng, 10) < s["snow"])
        image = np.where(flat[..., None], 0.3 * image + 0.6, image)
    image = _night(image, lit[index], sky, scene, s, rng)
    if s["wet"]:
        image = _reflect(image, planes == GROUND, scene.cy, s["wet"])
    mean = image @ np.full((3, 1), 1 / 3, np.float32)
    image += (mean - image) * np.float32(s["grey"])
    haze = np.float32(0.78 * (1 - 0.85 * s["dark"])) * np.array([0.97, 1.0, 1.03], np.float32)
    through = np.exp(-s["fog"] * z)[..., None]
    image = through * image + (1 - through) * haze
    return _sensor(image, s, rng)


def _colours(
    s: dict[str, float], material: np.ndarray, thing: np.ndarray, shade: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Colour (P, 3) of every part and whether it shines (P,); parts of one thing and material share their tint."""
    n, things = len(MATERIALS), int(thing.max()) + 1
    second = rng.random(n) < s["real"]
    shift = rng.normal(0, s["drift"], (n, 3)) + rng.normal(0, s["drift"], (n, 1))
    pick, own = rng.random(things), rng.normal(0, s["vary"], (things, 3)) + rng.normal(0, s["vary"], (things, 1))
    colour = np.empty((len(material), 3), np.float32)
    for m in np.unique(material):
        tints = PALETTES[int(second[m])][m]
        parts = np.flatnonzero(material == m)
        colour[parts] = tints[((pick[thing[parts]] + 0.37 * m) % 1 * len(tints)).astype(int)] + shift[m]
    colour = np.clip((colour + own[thing].astype(np.float32)) * shade[:, None], 0.02, 1)
    lit = (material == M["window"]) & (pick[thing] < s["lit"])
    return colour, lit


def _texture(
    s: dict[str, float], material: np.ndarray, z: np.ndarray, a: np.ndarray, b: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Relative brightness (H, W): tiles laid in world coordinates, new ones for every material in every image."""
    n = len(MATERIALS)
    kind, scale = rng.integers(0, 4, n), rng.uniform(4, 14, n).astype(np.float32)  # texels a metre
    kind[[M["foliage"], M["grass"], M["asphalt"], M["skin"]]] %= 2
    contrast = (s["texture"] * rng.uniform(0.4, 1.6, n)).astype(np.float32)
    contrast[M["foliage"]] *= 2
    contrast[M["sky"]] = 0
    k = scale[material]
    x, y = (a * k).astype(np.int32) & 63, (b * k).astype(np.int32) & 63
    return contrast[material] * _tiles(rng)[kind[material], y, x] / (1 + z / 40)


def _spots(rng: np.random.Generator, size: int) -> np.ndarray:
    """Smooth noise (H, W) in 0..1 with blobs of about `size` pixels."""
    coarse = Image.fromarray((255 * rng.random((HEIGHT // size + 2, WIDTH // size + 2))).astype(np.uint8))
    return np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.float32) / 255


def _sky(
    image: np.ndarray, sky: np.ndarray, horizon: float, s: dict[str, float], rng: np.random.Generator
) -> np.ndarray:
    rise = np.clip((np.float32(horizon) - np.arange(HEIGHT, dtype=np.float32)) / 45, 0, 1)[:, None]
    cloud = s["clouds"] * np.clip(2.2 * _spots(rng, 16) - 0.6, 0, 1)
    white = np.clip(0.45 * (1 - rise) + cloud, 0, 1)[..., None]
    return np.where(sky[..., None], image * (1 - white) + 0.93 * white, image)


def _light(
    image: np.ndarray, plane: np.ndarray, shadow: np.ndarray, s: dict[str, float], rng: np.random.Generator
) -> np.ndarray:
    side = float(rng.choice([-1.0, 1.0])) * s["sun"]
    gain = np.ones(5, np.float32)
    grazed = 1 - 0.4 * s["sun"]
    gain[[GROUND, FRONTAL, LEFT, RIGHT]] = 1.0, grazed, grazed + 0.6 * side, grazed - 0.6 * side
    light = gain[plane] * np.where(plane == GROUND, 1 - np.float32(s["shadow"] / 255) * shadow, np.float32(1))
    tint = np.array([1 + s["warmth"], 1.0, 1 - s["warmth"]], np.float32)
    return image * light[..., None] * tint


def _night(
    image: np.ndarray, lit: np.ndarray, sky: np.ndarray, scene: Scene, s: dict[str, float], rng: np.random.Generator
) -> np.ndarray:
    """Dims the scene to a blue dusk and adds what shines: windows, street lamps, head and tail lights."""
    dark = np.float32(s["dark"])
    if dark:
        ambient = 1 - dark * np.array([0.84, 0.82, 0.74], np.float32)
        image = image * ambient * np.where(sky, 1 - np.float32(0.6) * dark, np.float32(1))[..., None]
    lamplight = np.array([1.0, 0.86, 0.55], np.float32) * np.float32(rng.uniform(0.7, 1.0))
    image = np.where(lit[..., None], np.maximum(image, lamplight), image)
    if not s["glow"]:
        return image
    lamps = np.array([*scene.lamps, (-99, -99, 1, 0)], np.float32)  # one far outside, lest there be none
    u0, v0, radius, kind = lamps.T[..., None]  # (L, 1) each
    street = kind == 0
    foot = v0 + radius * np.where(street, 2.4, 1.6)  # where a lamp's light falls on the ground, about
    # Gaussians are separable: the sum over lamps is one small matrix product per tint
    halo = _bumps(u0, v0, np.maximum(1.2, 0.25 * radius), np.maximum(1.2, 0.25 * radius), kind)
    pool = _bumps(u0, foot, 2.2 * radius + 1, 1.1 * radius + 1, kind, np.where(street, 1.0, 0.5))
    return image * (1 + np.float32(3 * s["glow"]) * pool) + np.float32(s["glow"]) * halo


_LAMP_TINTS = np.array([[1.0, 0.8, 0.5], [1.0, 0.97, 0.88], [1.0, 0.25, 0.2]], np.float32)  # street, head, tail


def _bumps(
    u0: np.ndarray, v0: np.ndarray, ru: np.ndarray, rv: np.ndarray, kind: np.ndarray, weight: np.ndarray | float = 1.0
) -> np.ndarray:
    """Sum of coloured Gaussians, (H, W, 3); the arguments are (L, 1)."""
    across = np.exp(-(((np.arange(WIDTH) - u0) / ru) ** 2)).astype(np.float32)  # (L, W)
    down = (weight * np.exp(-(((np.arange(HEIGHT) - v0) / rv) ** 2))).astype(np.float32)  # (L, H)
    tinted = down[:, :, None] * _LAMP_TINTS[kind[:, 0].astype(int)][:, None]  # (L, H, 3)
    return np.einsum("lw,lhc->hwc", across, tinted, optimize=True)


def _reflect(image: np.ndarray, flat: np.ndarray, horizon: float, wet: float) -> np.ndarray:
    """Darkens the ground and mirrors what stands above the horizon in it, smeared along the columns."""
    rows = np.clip(np.round(2 * horizon - np.arange(HEIGHT)), 0, HEIGHT - 1).astype(int)
    mirror = image[rows]
    mirror = (mirror + np.roll(mirror, 2, 0) + np.roll(mirror, -2, 0) + np.roll(mirror, 4, 0)) / 4
    return np.where(flat[..., None], (1 - 0.35 * wet) * (1 - 0.55 * wet) * image + 0.55 * wet * mirror, image)


def _sensor(image: np.ndarray, s: dict[str, float], rng: np.random.Generator) -> np.ndarray:
    image = 0.5 + (np.clip(image, 0, 1.3) - 0.5) * np.float32(s["contrast"])
    if s["vignette"]:
        v, u = np.linspace(-1, 1, HEIGHT, dtype=np.float32)[:, None], np.linspace(-1, 1, WIDTH, dtype=np.float32)[None]
        image = image * (1 - s["vignette"] * 0.5 * (v**2 + u**2))[..., None]
    curve = (255 * np.linspace(0, 1, 1024) ** s["gamma"]).astype(np.uint8)  # a table: powers are slow
    picture = Image.fromarray(curve[(1023 * np.clip(image, 0, 1)).astype(np.int16)])
    if s["streaks"] >= 1:
        picture = _fall(picture, s, rng)
    picture = picture.filter(ImageFilter.GaussianBlur(s["blur"]))
    noise = rng.standard_normal((HEIGHT, WIDTH, 3), dtype=np.float32) * np.float32(255 * s["noise"])
    return np.clip(np.asarray(picture, np.float32) + noise, 0, 255).astype(np.uint8)


def _fall(picture: Image.Image, s: dict[str, float], rng: np.random.Generator) -> Image.Image:
    """Rain as slanted streaks, or snow as flakes when there is a cover."""
    veil = Image.new("L", picture.size)
    pen, slant = ImageDraw.Draw(veil), float(rng.uniform(-0.3, 0.3))
    for u, v, size in rng.random((int(s["streaks"]), 3)).tolist():
        x, y = u * WIDTH, v * HEIGHT
        if s["snow"] > 0.05:
            pen.ellipse([x, y, x + 1 + size, y + 1 + size], fill=int(120 + 120 * size))
        else:
            pen.line([x, y, x + slant * (4 + 9 * size), y + 4 + 9 * size], fill=int(40 + 70 * size))
    return Image.composite(Image.new("RGB", picture.size, (225, 228, 232)), picture, veil)
