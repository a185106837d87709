//! Pictures as tensors: decoded, resized, and laid out as a model declares its input.

use std::path::Path;

use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageBuffer, ImageReader, Pixel};
use salver_tensor::{DType, Dim, Element, Tensor, TensorSpec};

/// How a model wants a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    order: Order,
    /// `None` takes the picture's own.
    height: Option<usize>,
    /// `None` takes the picture's own.
    width: Option<usize>,
    channels: usize,
}

/// The order of axes after the batch axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    HeightWidthChannels,
    ChannelsHeightWidth,
    HeightWidth,
    /// Rows of pixels one after the other; the number must be that of the picture.
    Flat(usize),
}

impl Layout {
    /// Reads the layout out of a declared shape.
    ///
    /// # Errors
    /// Says what shapes there are layouts for.
    pub(crate) fn of(input: &TensorSpec) -> Result<Self, String> {
        let refuse = || {
            format!(
                "input `{}` is {input}, which is no picture: wanted are [N,H,W,C], [N,C,H,W] with 1, 3 or 4 channels, \
                 [N,H,W] or [N,pixels]; give --json or --instances",
                input.name
            )
        };
        let extent = |dim: &Dim| match dim {
            Dim::Fixed(extent) => Some(*extent),
            Dim::Dynamic(_) => None,
        };
        let is_channels = |dim: &Dim| matches!(dim, Dim::Fixed(1 | 3 | 4));
        let layout = |order, height: Option<&Dim>, width: Option<&Dim>, channels: &Dim| Self {
            order,
            height: height.and_then(extent),
            width: width.and_then(extent),
            channels: extent(channels).unwrap_or(1),
        };
        match input.dims.as_deref() {
            Some([_, height, width, channels]) if is_channels(channels) => Ok(layout(
                Order::HeightWidthChannels,
                Some(height),
                Some(width),
                channels,
            )),
            Some([_, channels, height, width]) if is_channels(channels) => Ok(layout(
                Order::ChannelsHeightWidth,
                Some(height),
                Some(width),
                channels,
            )),
            Some([_, height, width]) => Ok(layout(
                Order::HeightWidth,
                Some(height),
                Some(width),
                &Dim::Fixed(1),
            )),
            Some([_, Dim::Fixed(num_pixels)]) if *num_pixels > 1 => {
                Ok(layout(Order::Flat(*num_pixels), None, None, &Dim::Fixed(1)))
            }
            _ => Err(refuse()),
        }
    }

    fn shape(&self, height: usize, width: usize) -> Vec<usize> {
        match self.order {
            Order::HeightWidthChannels => vec![1, height, width, self.channels],
            Order::ChannelsHeightWidth => vec![1, self.channels, height, width],
            Order::HeightWidth => vec![1, height, width],
            Order::Flat(num_pixels) => vec![1, num_pixels],
        }
    }
}

/// Reads a picture as the tensor `[1, …]` that a model takes; pixel values are divided by `scale`.
///
/// # Errors
/// One line that names the file.
pub(crate) fn read(path: &Path, input: &TensorSpec, scale: f32) -> Result<Tensor, String> {
    let fail = |reason: &dyn std::fmt::Display| format!("{}: {reason}", path.display());
    let reader = ImageReader::open(path)
        .and_then(ImageReader::with_guessed_format)
        .map_err(|error| fail(&error))?;
    let picture = reader.decode().map_err(|error| fail(&error))?;
    tensor(&picture, input, scale).map_err(|error| fail(&error))
}

/// Lays a picture out.
fn tensor(picture: &DynamicImage, input: &TensorSpec, scale: f32) -> Result<Tensor, String> {
    let layout = Layout::of(input)?;
    let (height, width, values) = match layout.channels {
        1 => values(&picture.to_luma8(), &layout)?,
        3 => values(&picture.to_rgb8(), &layout)?,
        _ => values(&picture.to_rgba8(), &layout)?,
    };
    let shape = layout.shape(height, width);
    let tensor = match input.dtype {
        DType::F32 => convert::<f32>(shape, &values, |value| value / scale),
        DType::F64 => convert::<f64>(shape, &values, |value| f64::from(value / scale)),
        DType::U8 => convert::<u8>(shape, &values, |value| (value / scale).round() as u8),
        DType::U16 => convert::<u16>(shape, &values, |value| (value / scale).round() as u16),
        DType::I16 => convert::<i16>(shape, &values, |value| (value / scale).round() as i16),
        DType::I32 => convert::<i32>(shape, &values, |value| (value / scale).round() as i32),
        DType::I64 => convert::<i64>(shape, &values, |value| (value / scale).round() as i64),
        dtype => {
            return Err(format!(
                "input `{}` is {dtype}, which pixels cannot be turned into",
                input.name
            ));
        }
    };
    tensor.map_err(|error| error.to_string())
}

fn convert<T: Element>(
    shape: Vec<usize>,
    values: &[f32],
    cast: impl Fn(f32) -> T,
) -> Result<Tensor, salver_tensor::TensorError> {
    Tensor::from_vec(shape, values.iter().map(|&value| cast(value)).collect())
}

/// Returns height, width and the pixel values in the order of the layout.
fn values<P>(
    picture: &ImageBuffer<P, Vec<u8>>,
    layout: &Layout,
) -> Result<(usize, usize, Vec<f32>), String>
where
    P: Pixel<Subpixel = u8> + 'static,
{
    let (own_width, own_height) = (picture.width() as usize, picture.height() as usize);
    let (height, width) = (
        layout.height.unwrap_or(own_height),
        layout.width.unwrap_or(own_width),
    );
    if let Order::Flat(num_pixels) = layout.order
        && num_pixels != own_height * own_width
    {
        return Err(format!(
            "it has {own_width} x {own_height} pixels, the model takes {num_pixels}"
        ));
    }
    let resized = match (height, width) == (own_height, own_width) {
        true => None,
        false => {
            let extent = |extent: usize| {
                u32::try_from(extent).map_err(|_| "the model's picture is too large".to_owned())
            };
            Some(imageops::resize(
                picture,
                extent(width)?,
                extent(height)?,
                FilterType::Triangle,
            ))
        }
    };
    let samples = resized.as_ref().unwrap_or(picture).as_raw();
    let values = match layout.order {
        Order::ChannelsHeightWidth => (0..layout.channels)
            .flat_map(|channel| samples.iter().skip(channel).step_by(layout.channels))
            .map(|&sample| f32::from(sample))
            .collect(),
        Order::HeightWidthChannels | Order::HeightWidth | Order::Flat(_) => {
            samples.iter().map(|&sample| f32::from(sample)).collect()
        }
    };
    Ok((height, width, values))
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Rgb, RgbImage};

    use super::*;

    fn spec(dtype: DType, extents: &[i64]) -> TensorSpec {
        let dim = |&extent: &i64| usize::try_from(extent).map_or(Dim::Dynamic(None), Dim::Fixed);
        TensorSpec::new("x", dtype, Some(extents.iter().map(dim).collect()))
    }

    /// Two pixels beside each other: (1, 2, 3) and (4, 5, 6).
    fn two_pixels() -> DynamicImage {
        let mut picture = RgbImage::new(2, 1);
        picture.put_pixel(0, 0, Rgb([1, 2, 3]));
        picture.put_pixel(1, 0, Rgb([4, 5, 6]));
        picture.into()
    }

    #[test]
    fn pixels_lie_as_the_model_declares() {
        let rows: [(&[i64], &[usize], &[f32]); 3] = [
            (
                &[-1, 1, 2, 3],
                &[1, 1, 2, 3],
                &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            ),
            (
                &[-1, 3, 1, 2],
                &[1, 3, 1, 2],
                &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0],
            ),
            (
                &[1, 3, -1, -1],
                &[1, 3, 1, 2],
                &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0],
            ),
        ];
        for (extents, shape, values) in rows {
            let tensor = tensor(&two_pixels(), &spec(DType::F32, extents), 1.0).unwrap();
            assert_eq!(&tensor.shape()[..], shape);
            assert_eq!(tensor.as_slice::<f32>().unwrap(), values);
        }
    }

    #[test]
    fn grey_pictures_may_lack_the_channel_axis() {
        let picture: DynamicImage = GrayImage::from_raw(2, 2, vec![0, 51, 102, 255])
            .unwrap()
            .into();
        for extents in [&[-1, 2, 2, 1][..], &[-1, 2, 2], &[-1, 4]] {
            let tensor = tensor(&picture, &spec(DType::F32, extents), 255.0).unwrap();
            assert_eq!(
                tensor.as_slice::<f32>().unwrap(),
                [0.0, 0.2, 0.4, 1.0],
                "{extents:?}"
            );
        }
        let bytes = tensor(&picture, &spec(DType::U8, &[1, 2, 2, 1]), 1.0).unwrap();
        assert_eq!(bytes.as_slice::<u8>().unwrap(), [0, 51, 102, 255]);
    }

    #[test]
    fn pictures_of_another_size_are_resized() {
        let picture: DynamicImage = GrayImage::from_pixel(9, 5, image::Luma([77])).into();
        let tensor = tensor(&picture, &spec(DType::F32, &[-1, 4, 6, 1]), 1.0).unwrap();
        assert_eq!(&tensor.shape()[..], [1, 4, 6, 1]);
        assert!(
            tensor
                .as_slice::<f32>()
                .unwrap()
                .iter()
                .all(|&value| value == 77.0)
        );
    }

    #[test]
    fn inputs_that_take_no_picture_are_refused() {
        for extents in [&[][..], &[-1], &[-1, -1], &[-1, 2, 2, 2], &[1, 1, 1, 1, 1]] {
            assert!(
                Layout::of(&spec(DType::F32, extents))
                    .unwrap_err()
                    .contains("no picture"),
                "{extents:?}"
            );
        }
        assert!(
            tensor(&two_pixels(), &spec(DType::String, &[-1, 1, 2, 3]), 1.0)
                .unwrap_err()
                .contains("string")
        );
        assert!(
            tensor(&two_pixels(), &spec(DType::F32, &[-1, 5]), 1.0)
                .unwrap_err()
                .contains("takes 5")
        );
    }
}
