// What the tests call in a page with picanet.js; bytes come and go as base64.
(() => {
  const picanet = () => import(new URL('picanet.js', location.href));
  const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const blobOf = (text) => new Blob([bytesOf(text)]);
  const textOf = (array) => {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    let text = '';
    for (let i = 0; i < bytes.length; i += 1 << 15) text += String.fromCharCode(...bytes.subarray(i, i + (1 << 15)));
    return btoa(text);
  };
  const textOfBlob = async (blob) => textOf(new Uint8Array(await blob.arrayBuffer()));
  return {
    saliency: async (photo) => textOf((await (await picanet()).saliency(blobOf(photo))).data),

    removeBackground: async (photo, options) =>
      textOfBlob(await (await picanet()).removeBackground(blobOf(photo), options)),

    compose: async (photo, map, side, options) => {
      const {compose, decode, load} = await picanet();
      await load();
      const saliency = {width: side, height: side, channels: 1, data: new Float32Array(bytesOf(map).buffer)};
      return textOf((await compose(await decode(blobOf(photo)), saliency, options)).data);
    },

    size: async (photo) => {
      const {width, height} = await (await picanet()).decode(blobOf(photo));
      return [width, height];
    },

    attention: async (photo, x, y, width, height) => {
      const {contextOf, spread} = await import(new URL('attention.js', location.href));
      const modules = await (await picanet()).attention(blobOf(photo));
      return modules.map((module) => ({
        ...module,
        weights: textOf(module.weights),
        drawn: textOf(spread(contextOf(module, x, y), width, height)),
      }));
    },

    error: async (name, photo, options) => {
      try {
        await (await picanet())[name](...(photo ? [blobOf(photo)] : []), options);
        return 'none';
      } catch (error) {
        return String(error);
      }
    },
  };
})()
